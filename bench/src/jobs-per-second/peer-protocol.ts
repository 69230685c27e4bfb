/** What both servers built for comparison demand of a request: the cheapest check that is one. */
export const PEER_AUTHORIZATION = "Bearer 0f1e2d3c4b5a69788796a5b4c3d2e1f0";

/** States of a job in their tables. */
export const JOB_STATE = { queued: 0, claimed: 1, started: 2, finished: 3 } as const;

export const CREATE_JOBS = `
  create table jobs (
    id integer primary key,
    state integer not null,
    payload text not null,
    runner text,
    created_at integer not null,
    claimed_at integer,
    started_at integer,
    finished_at integer
  ) strict;
  create index jobs_queued on jobs (id) where state = 0;`;
