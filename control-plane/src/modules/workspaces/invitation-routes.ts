import {
  acceptInvitationBodySchema,
  acceptInvitationReplySchema,
  createInvitationBodySchema,
  createInvitationReplySchema,
  type Invitation,
  invitationPreviewSchema,
  invitationsReplySchema,
  invitationTokenQuerySchema,
} from "@shipfox/shared/api/workspaces";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { z } from "zod";
import { FixedWindows } from "../../http/fixed-windows.ts";
import { linkPage } from "../../http/link-page.ts";
import { type Route, route } from "../../http/route.ts";
import { findActiveUser, type ListedInvitation } from "./invitation-store.ts";
import {
  acceptInvitation,
  invite,
  type InvitationsDeps,
  previewInvitation,
  readInvitations,
  resend,
  withdraw,
} from "./invitations.ts";

const TAG = "Workspaces";
const LINK_HELP = `You are invited to a Shipfox workspace. This link works once.

With an account, sign in with the invited address and give the link when you are asked for it:
  shipfox login --url URL
  shipfox members accept

Without one, make it; you are asked for the link, which also proves your address:
  shipfox login --url URL --signup
`;
/** New links for one invitation within an hour, which somebody may get as mails that he did not ask for. */
const MAX_RESENDS = 5;
const RESEND_WINDOW_MS = 3_600_000;
const PATH = "/workspaces/{workspaceId}/invitations";
const inWorkspace = z.object({ workspaceId: id });
const oneInvitation = z.object({ workspaceId: id, invitationId: id });

export function createInvitationRoutes(deps: InvitationsDeps): Route[] {
  const { store, clock } = deps;
  const resends = new FixedWindows(clock, { limit: MAX_RESENDS, windowMs: RESEND_WINDOW_MS });
  return [
    route({
      method: "POST",
      path: PATH,
      tag: TAG,
      summary: "Invite an e-mail address to a workspace, for seven days",
      credential: "user",
      needs: "members:manage",
      audit: "invitation.created",
      params: inWorkspace,
      body: createInvitationBodySchema,
      responses: { 201: createInvitationReplySchema },
      errors: ["forbidden", "open-invitation-exists", "already-a-member", "overloaded"],
      handle: async ({ principal, params, body }) => {
        const { invitation, link } = await invite(deps, principal, { ...params, ...body });
        return {
          status: 201,
          headers: { "cache-control": "no-store" },
          body: { ...presentInvitation(invitation), link },
        };
      },
    }),
    route({
      method: "GET",
      path: PATH,
      tag: TAG,
      summary: "The open invitations of a workspace, oldest first",
      credential: "user",
      needs: "members:manage",
      params: inWorkspace,
      responses: { 200: invitationsReplySchema },
      errors: ["forbidden"],
      handle: async ({ principal, params }) => {
        const rows = await readInvitations(deps, principal, params.workspaceId);
        return { status: 200, body: { invitations: rows.map(presentInvitation) } };
      },
    }),
    route({
      method: "POST",
      path: `${PATH}/{invitationId}/resend`,
      tag: TAG,
      summary: "Make a new link for an invitation that nobody accepted, good for seven days; the former link ends",
      credential: "user",
      needs: "members:manage",
      audit: "invitation.resent",
      params: oneInvitation,
      responses: { 200: createInvitationReplySchema },
      errors: ["forbidden", "not-found", "open-invitation-exists", "already-a-member", "rate-limited", "overloaded"],
      handle: async ({ principal, params }) => {
        const { invitation, link } = await resend({ ...deps, resends }, principal, params);
        return {
          status: 200,
          headers: { "cache-control": "no-store" },
          body: { ...presentInvitation(invitation), link },
        };
      },
    }),
    route({
      method: "DELETE",
      path: `${PATH}/{invitationId}`,
      tag: TAG,
      summary: "Withdraw an open invitation",
      credential: "user",
      needs: "members:manage",
      audit: "invitation.deleted",
      params: oneInvitation,
      responses: { 204: null },
      errors: ["forbidden", "not-found"],
      handle: async ({ principal, params }) => {
        await withdraw(deps, principal, params);
        return { status: 204 };
      },
    }),
    route({
      method: "GET",
      path: "/invitations/preview",
      tag: TAG,
      summary: "What an invitation is for, by the token of its link",
      credential: "none",
      query: invitationTokenQuerySchema,
      responses: { 200: invitationPreviewSchema },
      handle: async ({ query }) => ({
        status: 200,
        headers: { "cache-control": "no-store" },
        body: await store.read((tx) => previewInvitation(tx, query.token, clock.now())),
      }),
    }),
    linkPage(
      {
        path: "/invitations/accept",
        tag: TAG,
        summary: "Where the link of an invitation leads: says how to use it",
        text: LINK_HELP,
      },
      deps.publicUrl,
    ),
    route({
      method: "POST",
      path: "/invitations/accept",
      tag: TAG,
      summary: "Become a member by an invitation; 200 when you are one already",
      credential: "user",
      needs: "account",
      audit: "invitation.accepted",
      body: acceptInvitationBodySchema,
      responses: { 200: acceptInvitationReplySchema, 201: acceptInvitationReplySchema },
      errors: [
        "invitation-token-invalid",
        "invitation-token-used",
        "invitation-token-expired",
        "invitation-email-mismatch",
      ],
      handle: async ({ principal, body }) => {
        const now = clock.now();
        const membershipId = newId(now);
        const { membership, alreadyMember } = await store.write(async (tx) => {
          const user = await findActiveUser(tx, principal.userId);
          if (!user) throw new ApiError("unauthorized", "this account is not active");
          const { forUpdate } = store.sql;
          return acceptInvitation(tx, principal, { token: body.token, user, membershipId, now, forUpdate });
        });
        return { status: alreadyMember ? 200 : 201, body: { membership, already_member: alreadyMember } };
      },
    }),
  ];
}

function presentInvitation(row: ListedInvitation): Invitation {
  const iso = (milliseconds: number) => new Date(milliseconds).toISOString();
  const { workspace_id, email, invited_by, invited_by_display } = row;
  return {
    id: row.id,
    workspace_id,
    email,
    role: row.role as Invitation["role"],
    expires_at: iso(row.expires_at),
    accepted_at: row.accepted_at === null ? null : iso(row.accepted_at),
    invited_by_user_id: invited_by,
    invited_by_display,
    created_at: iso(row.created_at),
    updated_at: iso(row.updated_at),
  };
}
