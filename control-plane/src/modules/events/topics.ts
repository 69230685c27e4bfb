import type { RunEvent } from "../../store/store.ts";

/** What can be followed: all events of a workspace, those of one run, or those of a workspace's runners. */
export interface Topic {
  readonly kind: "workspace" | "run" | "runners";
  /** Of the workspace, or of the run. */
  readonly id: string;
}

export type TopicName = `${Topic["kind"]}:${string}`;

export function topicName({ kind, id }: Topic): TopicName {
  return `${kind}:${id}`;
}

/** The topic of a name as `run:<id>`; null when it is none. */
export function parseTopic(name: string): Topic | null {
  const [, kind, id] = /^(workspace|run|runners):([0-9a-f-]{36})$/.exec(name) ?? [];
  return kind === undefined || id === undefined ? null : { kind: kind as Topic["kind"], id };
}

export const RUNNER_TYPES = "runner.";

/** Everything that an event belongs to. */
export function topicsOf(event: RunEvent): TopicName[] {
  return [
    `workspace:${event.workspaceId}`,
    ...(event.runId === null ? [] : [`run:${event.runId}` as const]),
    ...(event.type.startsWith(RUNNER_TYPES) ? [`runners:${event.workspaceId}` as const] : []),
  ];
}
