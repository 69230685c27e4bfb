import type { TriggerEventDetail } from "@shipfox/shared/api/trigger-events";

export type Decision = TriggerEventDetail["decisions"][number]["decision"];
