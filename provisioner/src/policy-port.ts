import type { AdvertisedTemplate, DemandReply } from "@shipfox/shared/provisioner";
import type { TemplatesFile } from "./templates/template.ts";

export interface IdleRunner {
  readonly id: string;
  /** As long as this process has seen it so, milliseconds. */
  readonly idleForMs: number;
}

/** Instances of a template by what they do. */
export interface Counts {
  /** On their way until the runner registers. */
  readonly starting: number;
  /** Registered runners without a job, oldest first. */
  readonly idle: readonly IdleRunner[];
  readonly busy: number;
  /** Wanted by nobody, and not gone yet: they still take up room. */
  readonly leaving: number;
}

/** What keeps a template from making machines, and how many it may make now besides. */
export interface Allowance {
  readonly creations: number;
  readonly fault: AdvertisedTemplate["fault"] | null;
  /** One machine may try whether it works again. */
  readonly isTrial: boolean;
}

/** All that the decisions are made of. */
export interface Situation {
  readonly file: TemplatesFile;
  /** By template key; a key without an entry has none. */
  readonly counts: ReadonlyMap<string, Counts>;
  readonly allowances: ReadonlyMap<string, Allowance>;
  /** Of all templates together. */
  readonly creationsLeft: number;
  /** Wall clock, milliseconds. */
  readonly now: number;
}

export interface Creation {
  readonly templateKey: string;
  /** Null for the idle pool. */
  readonly reservationId: string | null;
}

/** The decisions about numbers; pure. */
export interface Policy {
  /** What each template could start now. */
  advertise(situation: Situation): AdvertisedTemplate[];
  /** How many machines can be made now in all; the slots of the templates may add up to more. */
  room(situation: Situation): number;
  /** Which machines to make for what was reserved, and for the idle pools. */
  create(situation: Situation, reservations: DemandReply["reservations"]): Creation[];
  /** Ids of idle instances that are more than wanted. */
  surplus(situation: Situation): string[];
}
