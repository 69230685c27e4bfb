/** So many whole lists in a row must miss what looks too much to be true. */
export const CONFIRMATIONS = 3;
/** And the first of them must be so long ago. */
export const CONFIRM_MS = 60_000;
/** That few may be gone at once and be believed: machines end, and some providers forget them. */
const FEW = 2;
const SHARE = 0.2;

/** What is missing since when; kept from one whole list to the next. Times are monotonic milliseconds. */
export interface Absences {
  readonly missing: ReadonlyMap<string, { readonly since: number; readonly lists: number }>;
}

export const NO_ABSENCES: Absences = { missing: new Map() };

/** An instance whose machine should be in the list. */
export interface Expected {
  readonly id: string;
  /** When its creation was last under way; -Infinity when that was before this process. */
  readonly creatingUntil: number;
  /** It has a job: nothing but several lists in a row says that its machine is gone. */
  readonly isBusy: boolean;
  /** Its machine may never have been made, or this process had it deleted: that it is missing says nothing against a list. */
  readonly mayBeMissing: boolean;
}

export interface Judged {
  readonly absences: Absences;
  /** Their machines are gone. */
  readonly gone: ReadonlySet<string>;
  /** Missing from the list, and not believed to be gone. */
  readonly doubted: ReadonlySet<string>;
  /** How many of those are missing for longer than the provider's lists lag behind. */
  readonly suspicious: number;
  /** The list was empty, and there is nothing that we doubt. */
  readonly confirmedEmpty: boolean;
}

/**
 * What a list that was read whole says about machines that should be in it. A few missing ones are gone. Many at once, all of them,
 * or one that works, are a fault of the provider more often than the truth: they are gone when several lists in a row, over some
 * time, miss them, and stay so until a list shows them. A machine that was just made is never gone before `listLagMs` has passed.
 */
export function judgeAbsences(
  absences: Absences,
  list: {
    readonly expected: readonly Expected[];
    readonly observed: ReadonlySet<string>;
    readonly startedAt: number;
    readonly listLagMs: number;
  },
): Judged {
  const { expected, observed, startedAt, listLagMs } = list;
  const missing = new Map<string, { since: number; lists: number }>();
  const doubted = new Set<string>();
  const absent: Expected[] = [];
  for (const one of expected) {
    const { id, creatingUntil } = one;
    if (observed.has(id)) continue;
    if (startedAt < creatingUntil + listLagMs) {
      doubted.add(id);
      continue;
    }
    const before = absences.missing.get(id);
    missing.set(id, { since: before?.since ?? startedAt, lists: (before?.lists ?? 0) + 1 });
    absent.push(one);
  }
  const needed = expected.filter(({ mayBeMissing }) => !mayBeMissing).length;
  const strange = absent.filter(({ mayBeMissing }) => !mayBeMissing).length;
  const isPlausible = observed.size > 0 && strange <= Math.max(FEW, needed * SHARE);
  const gone = new Set<string>();
  let suspicious = 0;
  for (const { id, isBusy } of absent) {
    const { since = startedAt, lists = 0 } = missing.get(id) ?? {};
    const isConfirmed = lists >= CONFIRMATIONS && startedAt - since >= CONFIRM_MS;
    if (isConfirmed || (isPlausible && !isBusy)) gone.add(id);
    else {
      doubted.add(id);
      suspicious += 1;
    }
  }
  return {
    absences: { missing },
    gone,
    doubted,
    suspicious,
    confirmedEmpty: observed.size === 0 && doubted.size === 0,
  };
}
