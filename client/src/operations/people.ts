import {
  accessTokenSchema,
  accessTokensQuerySchema,
  accessTokensReplySchema,
  createAccessTokenBodySchema,
  createAccessTokenReplySchema,
  createStreamTicketBodySchema,
  createStreamTicketReplySchema,
} from "@shipfox/shared/api/access-tokens";
import {
  changePasswordBodySchema,
  confirmResetBodySchema,
  loginBodySchema,
  loginMethodsReplySchema,
  meReplySchema,
  resendCodeBodySchema,
  resendCodeReplySchema,
  resetPasswordBodySchema,
  sessionReplySchema,
  sessionsReplySchema,
  signupBodySchema,
  signupReplySchema,
  updateMeBodySchema,
  verifyEmailBodySchema,
} from "@shipfox/shared/api/accounts";
import { auditEventsQuerySchema, auditEventsReplySchema } from "@shipfox/shared/api/audit";
import { homeReplySchema } from "@shipfox/shared/api/home";
import {
  changeLimitsBodySchema,
  limitsReplySchema,
  usageQuerySchema,
  usageReplySchema,
} from "@shipfox/shared/api/usage";
import {
  acceptInvitationBodySchema,
  acceptInvitationReplySchema,
  changeMemberBodySchema,
  createInvitationBodySchema,
  createInvitationReplySchema,
  createWorkspaceBodySchema,
  invitationPreviewSchema,
  invitationsReplySchema,
  invitationTokenQuerySchema,
  memberSchema,
  membershipsReplySchema,
  membersReplySchema,
  slugAvailabilityQuerySchema,
  slugAvailabilityReplySchema,
  updateWorkspaceBodySchema,
  workspaceSchema,
} from "@shipfox/shared/api/workspaces";
import type { Operations } from "../operation.ts";

export const server = {
  about: { method: "GET", path: "/", reply: homeReplySchema },
} as const satisfies Operations;

export const auth = {
  signUp: { method: "POST", path: "/auth/signup", body: signupBodySchema, reply: signupReplySchema },
  verifyEmail: {
    method: "POST",
    path: "/auth/verify-email/confirm",
    body: verifyEmailBodySchema,
    reply: sessionReplySchema,
  },
  resendCode: {
    method: "POST",
    path: "/auth/verify-email/resend",
    body: resendCodeBodySchema,
    reply: resendCodeReplySchema,
  },
  loginMethods: { method: "GET", path: "/auth/login-methods", reply: loginMethodsReplySchema },
  logIn: { method: "POST", path: "/auth/login", body: loginBodySchema, reply: sessionReplySchema },
  refresh: { method: "POST", path: "/auth/refresh", reply: sessionReplySchema },
  logOut: { method: "POST", path: "/auth/logout", reply: null },
  requestReset: { method: "POST", path: "/auth/password/reset", body: resetPasswordBodySchema, reply: null },
  confirmReset: {
    method: "POST",
    path: "/auth/password/reset/confirm",
    body: confirmResetBodySchema,
    reply: sessionReplySchema,
  },
  changePassword: {
    method: "POST",
    path: "/auth/change-password",
    body: changePasswordBodySchema,
    reply: null,
    keyed: true,
  },
  me: { method: "GET", path: "/auth/me", reply: meReplySchema },
  updateMe: { method: "PATCH", path: "/auth/me", body: updateMeBodySchema, reply: meReplySchema },
  sessions: { method: "GET", path: "/auth/sessions", reply: sessionsReplySchema },
  endSession: { method: "DELETE", path: "/auth/sessions/{sessionId}", reply: null },
} as const satisfies Operations;

export const accessTokens = {
  create: {
    method: "POST",
    path: "/auth/tokens",
    body: createAccessTokenBodySchema,
    reply: createAccessTokenReplySchema,
    keyed: true,
  },
  list: {
    method: "GET",
    path: "/auth/tokens",
    query: accessTokensQuerySchema,
    reply: accessTokensReplySchema,
    items: "tokens",
  },
  current: { method: "GET", path: "/auth/tokens/current", reply: accessTokenSchema },
  revoke: { method: "DELETE", path: "/auth/tokens/{tokenId}", reply: null },
  createStreamTicket: {
    method: "POST",
    path: "/auth/stream-tokens",
    body: createStreamTicketBodySchema,
    reply: createStreamTicketReplySchema,
  },
} as const satisfies Operations;

export const workspaces = {
  list: { method: "GET", path: "/workspaces", reply: membershipsReplySchema },
  create: { method: "POST", path: "/workspaces", body: createWorkspaceBodySchema, reply: workspaceSchema, keyed: true },
  slugAvailability: {
    method: "GET",
    path: "/workspaces/slug-availability",
    query: slugAvailabilityQuerySchema,
    reply: slugAvailabilityReplySchema,
  },
  get: { method: "GET", path: "/workspaces/{workspaceId}", reply: workspaceSchema },
  update: {
    method: "PATCH",
    path: "/workspaces/{workspaceId}",
    body: updateWorkspaceBodySchema,
    reply: workspaceSchema,
  },
  delete: { method: "DELETE", path: "/workspaces/{workspaceId}", reply: null },
  leave: { method: "POST", path: "/workspaces/{workspaceId}/leave", reply: null, keyed: true },
  usage: { method: "GET", path: "/workspaces/{workspaceId}/usage", query: usageQuerySchema, reply: usageReplySchema },
  changeLimits: {
    method: "PATCH",
    path: "/workspaces/{workspaceId}/limits",
    body: changeLimitsBodySchema,
    reply: limitsReplySchema,
  },
} as const satisfies Operations;

export const members = {
  list: { method: "GET", path: "/workspaces/{workspaceId}/members", reply: membersReplySchema },
  update: {
    method: "PATCH",
    path: "/workspaces/{workspaceId}/members/{userId}",
    body: changeMemberBodySchema,
    reply: memberSchema,
  },
  remove: { method: "DELETE", path: "/workspaces/{workspaceId}/members/{userId}", reply: null },
} as const satisfies Operations;

export const invitations = {
  create: {
    method: "POST",
    path: "/workspaces/{workspaceId}/invitations",
    body: createInvitationBodySchema,
    reply: createInvitationReplySchema,
    keyed: true,
  },
  list: { method: "GET", path: "/workspaces/{workspaceId}/invitations", reply: invitationsReplySchema },
  resend: {
    method: "POST",
    path: "/workspaces/{workspaceId}/invitations/{invitationId}/resend",
    reply: createInvitationReplySchema,
    keyed: true,
  },
  withdraw: { method: "DELETE", path: "/workspaces/{workspaceId}/invitations/{invitationId}", reply: null },
  preview: {
    method: "GET",
    path: "/invitations/preview",
    query: invitationTokenQuerySchema,
    reply: invitationPreviewSchema,
  },
  accept: {
    method: "POST",
    path: "/invitations/accept",
    body: acceptInvitationBodySchema,
    reply: acceptInvitationReplySchema,
    keyed: true,
  },
} as const satisfies Operations;

export const audit = {
  list: {
    method: "GET",
    path: "/workspaces/{workspaceId}/audit-events",
    query: auditEventsQuerySchema,
    reply: auditEventsReplySchema,
    items: "audit_events",
  },
  listAll: {
    method: "GET",
    path: "/admin/audit-events",
    query: auditEventsQuerySchema,
    reply: auditEventsReplySchema,
    items: "audit_events",
  },
} as const satisfies Operations;
