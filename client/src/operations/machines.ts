import {
  activeProvisionersReplySchema,
  createProvisionerTokenBodySchema,
  createProvisionerTokenReplySchema,
  provisionerTokenSchema,
  provisionerTokensReplySchema,
  runnerInstanceDetailSchema,
  runnerInstanceSchema,
  runnerInstancesQuerySchema,
  runnerInstancesReplySchema,
} from "@shipfox/shared/api/provisioners";
import {
  activeRunnersReplySchema,
  createRegistrationTokenBodySchema,
  createRegistrationTokenReplySchema,
  registrationTokenSchema,
  registrationTokensReplySchema,
  revokeRegistrationTokenQuerySchema,
  runnerSchema,
  runnersReplySchema,
} from "@shipfox/shared/api/runners";
import type { Operations } from "../operation.ts";

export const runners = {
  createToken: {
    method: "POST",
    path: "/workspaces/{workspaceId}/runners/manual-registration-tokens",
    body: createRegistrationTokenBodySchema,
    reply: createRegistrationTokenReplySchema,
    keyed: true,
  },
  tokens: {
    method: "GET",
    path: "/workspaces/{workspaceId}/runners/manual-registration-tokens",
    reply: registrationTokensReplySchema,
  },
  revokeToken: {
    method: "POST",
    path: "/workspaces/{workspaceId}/runners/manual-registration-tokens/{tokenId}/revoke",
    query: revokeRegistrationTokenQuerySchema,
    reply: registrationTokenSchema,
    keyed: true,
  },
  list: { method: "GET", path: "/workspaces/{workspaceId}/runners", reply: runnersReplySchema },
  active: { method: "GET", path: "/workspaces/{workspaceId}/runners/active", reply: activeRunnersReplySchema },
  drain: {
    method: "POST",
    path: "/workspaces/{workspaceId}/runners/{runnerId}/drain",
    reply: runnerSchema,
    keyed: true,
  },
  revoke: {
    method: "POST",
    path: "/workspaces/{workspaceId}/runners/{runnerId}/revoke",
    reply: runnerSchema,
    keyed: true,
  },
} as const satisfies Operations;

export const provisioners = {
  createToken: {
    method: "POST",
    path: "/workspaces/{workspaceId}/provisioners/tokens",
    body: createProvisionerTokenBodySchema,
    reply: createProvisionerTokenReplySchema,
    keyed: true,
  },
  tokens: { method: "GET", path: "/workspaces/{workspaceId}/provisioners/tokens", reply: provisionerTokensReplySchema },
  revokeToken: {
    method: "POST",
    path: "/workspaces/{workspaceId}/provisioners/tokens/{tokenId}/revoke",
    reply: provisionerTokenSchema,
    keyed: true,
  },
  active: {
    method: "GET",
    path: "/workspaces/{workspaceId}/provisioners/active",
    reply: activeProvisionersReplySchema,
  },
  instances: {
    method: "GET",
    path: "/workspaces/{workspaceId}/runner-instances",
    query: runnerInstancesQuerySchema,
    items: "runner_instances",
    reply: runnerInstancesReplySchema,
  },
  instance: {
    method: "GET",
    path: "/workspaces/{workspaceId}/runner-instances/{instanceId}",
    reply: runnerInstanceDetailSchema,
  },
  drainInstance: {
    method: "POST",
    path: "/workspaces/{workspaceId}/runner-instances/{instanceId}/drain",
    reply: runnerInstanceSchema,
    keyed: true,
  },
  terminateInstance: {
    method: "POST",
    path: "/workspaces/{workspaceId}/runner-instances/{instanceId}/terminate",
    reply: runnerInstanceSchema,
    keyed: true,
  },
} as const satisfies Operations;
