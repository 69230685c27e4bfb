import type { AdvertisedTemplate, DemandReply } from "@shipfox/shared/provisioner";
import type { TemplatesFile } from "./templates/template.ts";

/** Instances of a template by what they do. */
export interface Counts {
  /** On their way until the runner registers. */
  readonly starting: number;
  /** Ids of registered runners without a job, oldest first. */
  readonly idle: readonly string[];
  readonly busy: number;
  /** Wanted by nobody, and not gone yet: they still take up room. */
  readonly leaving: number;
}

/** What keeps a template from making machines, and how many it may make now besides. */
export interface Allowance {
  readonly creations: number;
  readonly fault: AdvertisedTemplate["fault"] | null;
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
  /** Which machines to make for what was reserved, and for the idle pools. */
  create(situation: Situation, reservations: DemandReply["reservations"]): Creation[];
  /** Ids of idle instances that are more than wanted. */
  surplus(situation: Situation): string[];
}
