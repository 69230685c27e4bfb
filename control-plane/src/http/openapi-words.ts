import { ABILITIES, isAbility } from "./abilities.ts";
import type { Need } from "./caller.ts";

/** The groups of the document, in the order in which readers meet them. */
export const TAGS: Readonly<Record<string, string>> = {
  Accounts: "Signing up and in, sessions, passwords and the own account",
  "Access tokens": "Personal access tokens, and tickets for streams",
  Administration: "The whole server: people and workspaces, for its administrators",
  Instance: "The whole server: its keys, people and workspaces",
  Workspaces: "Workspaces, their limits and what they use",
  Members: "Who belongs to a workspace, with which role",
  Invitations: "Asking people into a workspace",
  Audit: "Who changed what",
  Integrations: "Connections to what holds repositories",
  "Integrations: GitHub": "The GitHub App: installing it, and the deliveries of its webhook",
  "Integrations: Sentry": "Sentry: installing it, and the deliveries of its webhook",
  "Integrations: custom webhooks": "Addresses that take events from anybody, signed or not",
  Projects: "A repository in a workspace",
  Definitions: "Workflows: validating, saving, reading and starting them",
  Runs: "What runs and ran",
  Logs: "What steps printed",
  Artifacts: "Files that jobs left, for people and for later jobs",
  Caches: "Files that jobs keep for the next run",
  Annotations: "What steps said beside their logs",
  Events: "What happens, as it happens",
  "Trigger events": "What came in from outside, and what became of it",
  Webhooks: "Telling other systems what happens here",
  Secrets: "Values that no route answers again",
  Variables: "Values that anybody who may read sees",
  Registries: "Credentials for pulling images",
  "Agent providers": "Model providers for agent steps",
  Runners: "The machines that run jobs, and the tokens that bring them in",
  Provisioners: "What starts runners on demand, and its tokens",
  "Machine: runners": "For runners: registration and sessions",
  "Machine: jobs": "For runners: claims, leases, steps and logs",
  "Machine: provisioners": "For provisioners: demand, and the runner instances that they start",
  Operations: "The server itself: health and this description",
};

/** What every parameter is; one that has another meaning on its route is described by its schema. */
export const PARAMETERS: Readonly<Record<string, string>> = {
  workspaceId: "Id of the workspace",
  workspace_id: "Id of the workspace",
  projectId: "Id of the project",
  project_id: "Id of the project",
  definitionId: "Id of the workflow definition",
  definition_id: "Id of the workflow definition",
  connectionId: "Id of the connection",
  sessionId: "Id of the session",
  tokenId: "Id of the token",
  eventId: "Id of the event",
  webhookId: "Id of the webhook",
  deliveryId: "Id of the delivery",
  artifactId: "Id of the artifact",
  cacheId: "Id of the cache",
  uploadId: "Id of the upload",
  credentialId: "Id of the registry credential",
  runnerId: "Id of the runner",
  provisionerId: "Id of the provisioner",
  instanceId: "Id of the runner instance",
  userId: "Id of the user",
  membershipId: "Id of the membership",
  memberId: "Id of the member",
  invitationId: "Id of the invitation",
  jobId: "Id of the job",
  stepId: "Id of the step",
  step_id: "Id of the step",
  job_execution_id: "Only of this execution of a job",
  workflow_run_id: "Id of the run",
  runId: "Id of the run",
  id: "Id of the run",
  attempt: "Number of the attempt, from 1",
  key: "Name of the secret or variable: upper-case letters, digits and `_`",
  slug: "Short name of the provider in the workspace",
  providerId: "Name of the model provider, as the catalogue or its slug has it",
  limit: "How many at most",
  cursor: "`next_cursor` of the page before; opaque, and of this list only",
  search: "Only what has this text in its name, in either case",
  status: "Only those with this status",
  state: "The state that the installation was started with",
  code: "What the provider handed out to prove the installation",
  installation_id: "The provider's number of the installation",
  setup_action: "What GitHub says was done: install, update or request",
  capability: "Only those that can do this",
  source: "Only from these sources; may be repeated or separated by commas",
  event: "Only these events; may be repeated or separated by commas",
  outcome: "Only with these outcomes; may be repeated or separated by commas",
  approval: "Only those with these states of approval; may be repeated or separated by commas",
  from: "Not before this time",
  to: "Before this time",
  created_from: "Created at this time or later",
  created_to: "Created before this time",
  trigger_source: "Only started by this source",
  image: "The image whose registry is asked about",
  cascade: "Remove or change what depends on it as well",
  wait_seconds: "How long to wait for something to tell; 0 answers at once",
  next: "Whether the answer carries the next step",
  cancelling: "Whether the runner is stopping the job already",
  types: "Only events of these types, separated by commas; `job.*` stands for all that begin so",
  offset: "Where in the log the bytes begin",
  budget: "Whether the client keeps the budget of the log itself",
};

const BEYOND_WORKSPACES: Readonly<Record<Exclude<Need, keyof typeof ABILITIES>, string>> = {
  account: "For the person himself: a personal access token is refused.",
  identity: "For everybody who is signed in, also by a personal access token.",
  "instance:read": "For administrators of the server, the role admin-observer and up; never for a token.",
  "instance:operate": "For administrators of the server, the role admin-operator and up; never for a token.",
  "instance:own": "For administrators of the server with the role admin-owner; never for a token.",
};

/** Who may call a route that has this need. */
export function needInWords(need: Need): string {
  if (!isAbility(need)) return BEYOND_WORKSPACES[need];
  const [role, , meaning] = ABILITIES[need];
  const who = role === "owner" ? "owners" : `the role ${role} and up`;
  return `Needs the ability \`${need}\` (${meaning}): ${who}, or a token with it.`;
}

/** `getProjectsByProjectId`: a name for generated clients. */
export function operationName(method: string, path: string): string {
  const words = path.split(/[/.:]+/).filter((word) => word !== "");
  const parts = words.map((word) =>
    // `password-reset` is not `password/reset`.
    word.startsWith("{") ? `By${capital(word.slice(1, -1))}` : capital(word.replaceAll("-", "_")),
  );
  return method.toLowerCase() + (parts.join("") || "Root");
}

function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
