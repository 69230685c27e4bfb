// The demo itself; scripts/demo prepares the machine for it and explains it.
import { Demo, type Account } from "./lib/demo/demo.ts";
import { chooseWorkflow, type Workflow } from "./lib/demo/choose-workflow.ts";
import { DEMO_HELP, type DemoOptions, readDemoOptions, UsageError } from "./lib/demo/options.ts";
import { Refused } from "./lib/demo/shipfox-command.ts";
import { makeSampleRepository, takeRepository } from "./lib/demo/repository.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;
const EXIT_INTERRUPTED = 130;

const say = (line: string) => console.log(`demo: ${line}`);

async function main(): Promise<number> {
  const options = readDemoOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(DEMO_HELP);
    return 0;
  }
  const { stop, hurry } = listenForSignals();
  const demo = await Demo.open(say, stop);
  try {
    return await show(demo, options, stop);
  } catch (error) {
    if (stop.aborted) return EXIT_INTERRUPTED;
    if (!(error instanceof UsageError || error instanceof Refused)) console.error(demo.tails());
    console.error(`demo: ${(error as Error).message}`);
    return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
  } finally {
    say("stopping everything");
    await demo.close(hurry);
  }
}

async function show(demo: Demo, options: DemoOptions, stop: AbortSignal): Promise<number> {
  say(`everything of this demo lies in ${demo.folder}`);
  const repository =
    options.repository === null
      ? await makeSampleRepository(demo.folder)
      : await takeRepository(options.repository, demo.folder, process.cwd());
  for (const note of repository.notes) say(note);

  const url = await demo.startControlPlane(options, repository);
  say(`the control plane serves ${url}`);
  const { account, shipfox } = await demo.createAccount(url);
  await shipfox.json(["workspaces", "create", "Demo"]);
  const { project, definitions } = await shipfox.json<{ project: { slug: string }; definitions: Workflow[] }>([
    "projects",
    "create",
    "--repo",
    repository.location,
  ]);
  const workflow = chooseWorkflow(definitions, options.workflow);
  await demo.startRunner(url, shipfox, options, repository);
  say(`a runner waits for jobs; now: shipfox run "${workflow.name}" --follow`);
  console.log();

  const result = await demo.whileServing(shipfox.show(["run", workflow.id, "--project", project.slug, "--follow"]));
  console.log();
  if (result !== 0 && result !== EXIT_FAILED) console.error(demo.tails());
  if (!process.stdout.isTTY) return result;

  console.log(nextSteps(demo, url, account, workflow));
  await demo.whileServing(
    new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve(), { once: true })),
  );
  console.log();
  return result;
}

function nextSteps(demo: Demo, url: string, account: Account, workflow: Workflow): string {
  const login = JSON.stringify({ email: account.email, password: account.password });
  return `It stays up at ${url} until Ctrl-C; then all of it is removed. In another terminal, from this checkout:

  export PATH=$PWD/node_modules/.bin:$PATH SHIPFOX_CONFIG_DIR=${demo.cliConfigDir}
  shipfox run "${workflow.name}" --follow
  shipfox runs list

Signed in elsewhere, or with curl:

  shipfox login --url ${url} --email ${account.email} --password-stdin <${account.passwordFile}
  curl -s ${url}/auth/login -H 'content-type: application/json' -d '${login}'

Where things are: ${demo.folder}
  control-plane.log, runner.log   what the two processes say
  data/                           database and logs of the control plane
  runner/                         the runner's state

The tour with curl is in README.md, everything else in docs/.
`;
}

/** The first signal stops, a second one stops without patience. A reader of our output that went away counts as one. */
function listenForSignals(): { stop: AbortSignal; hurry: AbortSignal } {
  const stop = new AbortController();
  const hurry = new AbortController();
  const onSignal = () => (stop.signal.aborted ? hurry.abort() : stop.abort());
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => stop.abort());
  return { stop: stop.signal, hurry: hurry.signal };
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`demo: ${(error as Error).message}`);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
}
