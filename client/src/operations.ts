import type { Operations } from "./operation.ts";
import { admin } from "./operations/admin.ts";
import { agentProviders } from "./operations/agents.ts";
import { provisioners, runners } from "./operations/machines.ts";
import { accessTokens, audit, auth, invitations, members, server, workspaces } from "./operations/people.ts";
import { registries, secrets, variables, webhooks } from "./operations/settings.ts";
import { customWebhooks, integrations, triggerEvents } from "./operations/sources.ts";
import { annotations, artifacts, caches, definitions, events, logs, projects, runs } from "./operations/work.ts";

/**
 * Everything a user can ask the control plane, in the groups of its description: the client has a method for each. A test
 * of the control plane compares it with `/openapi.json`, so that no route stays without one.
 */
export const OPERATIONS = {
  server,
  auth,
  accessTokens,
  workspaces,
  members,
  invitations,
  audit,
  admin,
  integrations,
  customWebhooks,
  projects,
  definitions,
  triggerEvents,
  runs,
  logs,
  artifacts,
  caches,
  annotations,
  events,
  webhooks,
  secrets,
  variables,
  registries,
  agentProviders,
  runners,
  provisioners,
} as const satisfies Readonly<Record<string, Operations>>;
