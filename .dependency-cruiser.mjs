// Who may import whom. The order of the control plane's modules is decided in one list, lowest first: a module may use
// those of the lines above its own. Whatever is not listed stands above them all.
const ORDER = [
  ["workflow"],
  ["expressions"],
  ["logs"],
  ["runs"],
  ["dispatch"],
  ["runners"],
  ["provisioners"],
  ["events"],
  ["triggers"],
  ["definitions"],
];

const PACKAGES = ["shared", "client", "control-plane", "runner", "provisioner", "cli", "dashboard", "e2e", "bench"];
const MODULES = "control-plane/src/modules";
const LANGUAGE = `^${MODULES}/workflow/public\\.ts$`;
const TEST_FILE = "\\.test\\.ts$";
const FIXTURE_FILE = "\\.fixture\\.ts$";

/** For each ordered module: nothing of its own line or above, except itself. */
const orderRules = ORDER.flatMap((names, line) => {
  const lower = ORDER.slice(0, line).flat();
  return names.map((name) => ({
    name: `module-order-${name}`,
    comment: `${name} may import only ${lower.length > 0 ? lower.join(", ") : "no other module"}; upwards go events and returned changes`,
    severity: "error",
    from: { path: `^${MODULES}/${name}/` },
    to: { path: `^${MODULES}/`, pathNot: `^${MODULES}/(${[name, ...lower].join("|")})/` },
  }));
});

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-circular",
      comment: "a cycle cannot be understood, tested or started one part at a time",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "resolvable",
      comment: "an import that leads nowhere would also escape every other rule",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "shared-stands-alone",
      comment: "shared is the contract that everything else stands on",
      severity: "error",
      from: { path: "^shared/" },
      to: { path: `^(${[...PACKAGES, "scripts"].join("|")})/`, pathNot: "^shared/" },
    },
    {
      name: "packages-meet-on-the-wire",
      comment: "a package imports shared and itself; e2e and bench start the others as processes",
      severity: "error",
      from: { path: `^(${PACKAGES.join("|")})/`, pathNot: "^shared/" },
      to: { path: `^(${[...PACKAGES, "scripts"].join("|")})/`, pathNot: ["^($1|shared|client)/", LANGUAGE] },
    },
    {
      name: "language-for-the-command-line",
      comment:
        "of the control plane only the CLI takes anything, and only the language: @shipfox/control-plane/workflow; bench measures it",
      severity: "error",
      from: { pathNot: "^(control-plane|cli|bench)/" },
      to: { path: LANGUAGE },
    },
    {
      name: "language-by-its-name",
      comment: "import @shipfox/control-plane/workflow, never a path into the folder",
      severity: "error",
      from: { pathNot: "^control-plane/" },
      to: { path: "^control-plane/", dependencyTypes: ["local"] },
    },
    {
      name: "language-stands-alone",
      comment: "the language of workflows runs without a server: it imports nothing else of the control plane",
      severity: "error",
      from: { path: `^${MODULES}/workflow/`, pathNot: TEST_FILE },
      to: { path: "^control-plane/", pathNot: `^${MODULES}/workflow/` },
    },
    {
      name: "client-for-callers",
      comment: "the client of the API is for those who call it, and for the test that compares it with the routes",
      severity: "error",
      from: { pathNot: ["^(client|cli|e2e)/", `^control-plane/src/http/.*${TEST_FILE}`] },
      to: { path: "^client/" },
    },
    {
      name: "scripts-import-shared-only",
      comment: "scripts start the parts as processes",
      severity: "error",
      from: { path: "^scripts/" },
      to: { path: `^(${PACKAGES.join("|")})/`, pathNot: "^shared/" },
    },
    {
      name: "shared-by-its-name",
      comment:
        "import @shipfox/shared/<file>, never a path into the folder; of the root package the name itself counts as a path",
      severity: "error",
      from: { pathNot: "^(shared|scripts)/" },
      to: { path: "^shared/", dependencyTypes: ["local"] },
    },
    {
      name: "client-by-its-name",
      comment: "import @shipfox/client, or a file of it by that name, never a path into the folder",
      severity: "error",
      from: { pathNot: "^client/" },
      to: { path: "^client/", dependencyTypes: ["local"] },
    },
    {
      name: "module-by-its-public-file",
      comment: "a module is used by another only through its public.ts",
      severity: "error",
      from: { path: `^${MODULES}/([^/]+)/` },
      to: { path: `^${MODULES}/[^/]+/`, pathNot: [`^${MODULES}/$1/`, `^${MODULES}/[^/]+/public\\.ts$`] },
    },
    {
      name: "module-by-its-public-file-outside",
      comment: "the server around the modules sees only their public.ts and mounts their routes",
      severity: "error",
      from: { path: "^control-plane/src/", pathNot: [`^${MODULES}/`, TEST_FILE, FIXTURE_FILE] },
      to: { path: `^${MODULES}/[^/]+/`, pathNot: `^${MODULES}/[^/]+/(public|[a-z-]*routes)\\.ts$` },
    },
    ...orderRules,
    {
      name: "no-circular-modules",
      comment: "two modules that use each other are one module in two folders",
      severity: "error",
      scope: "folder",
      from: { path: `^${MODULES}/[^/]+$` },
      to: { circular: true, path: `^${MODULES}/[^/]+$` },
    },
    {
      name: "routes-write-no-sql",
      comment: "routes call use cases; only stores write SQL",
      severity: "error",
      from: { path: "^control-plane/src/.*routes\\.ts$" },
      to: { path: ["(^|/)node_modules/(kysely|pg|better-sqlite3)/", "^control-plane/src/store/.*dialect"] },
    },
    {
      name: "sources-import-no-tests",
      comment: "what ships does not depend on what tests it",
      severity: "error",
      from: { pathNot: TEST_FILE },
      to: { path: TEST_FILE },
    },
  ],
  options: {
    tsConfig: { fileName: "tsconfig.json" },
    // Also the imports that type stripping removes: a layer that knows another's types knows that layer.
    tsPreCompilationDeps: true,
    doNotFollow: { path: "(^|/)node_modules/" },
    exclude: { path: "(^|/)(\\.node|\\.cache|coverage|data)/" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "types", "default"] },
  },
};
