/**
 * The sizes a workflow may have. The first three come from the published language; the others bound what one file can
 * make the server store, since a short file can stand for much more through YAML aliases and inherited environments.
 */
export const MAX_WORKFLOW_CHARACTERS = 1_000_000;
export const MAX_ENV_ENTRIES = 128;
export const MAX_ENV_BYTES = 32_768;

export const MAX_ALIASES = 500;
export const MAX_NESTING_DEPTH = 64;
export const MAX_EXPANDED_CHARACTERS = 4_000_000;
export const MAX_JOBS = 1_000;
/** Of all jobs, those of a matrix counted in each of its combinations. */
export const MAX_STEPS = 2_000;
export const MAX_MATRIX_JOBS = 500;
/** The jobs with a matrix as JSON, counted in each combination: each is stored as a job of its own. */
export const MAX_MATRIX_CHARACTERS = 8_000_000;
/** A workflow calls one that calls one, and so on. */
export const MAX_CALL_DEPTH = 4;
/** The jobs of all called workflows as JSON, counted in each call: each is stored as a job of its own. */
export const MAX_CALLED_CHARACTERS = 8_000_000;
export const MAX_TRIGGERS = 100;
export const MAX_INPUTS = 50;
export const MAX_RETRIES = 10;
export const MAX_RETRY_FACTOR = 10;
/** Of a job, in both directions. */
export const MAX_PRIORITY = 100;
export const MAX_CHOICES = 100;
export const MAX_DESCRIPTION_CHARACTERS = 1_000;
export const MAX_OUTPUTS = 128;
export const MAX_OUTPUT_SCHEMA_BYTES = 32_768;
export const MAX_OUTPUT_SCHEMA_DEPTH = 64;
/** Of all steps, jobs and names, those of aliased and inherited texts counted in each place. */
export const MAX_EXPRESSIONS = 20_000;
export const MAX_EXPRESSION_CHARACTERS = 16_384;
/** Operators, names and values of one expression, and how deep they are nested. */
export const MAX_EXPRESSION_NODES = 2_000;
export const MAX_EXPRESSION_DEPTH = 64;
/** Sum over all steps of the environment they start with, after workflow and job environments are merged in. */
export const MAX_MERGED_ENV_CHARACTERS = 8_000_000;
/** Names and keys end up in database indexes, which refuse entries of a few kilobytes. */
export const MAX_NAME_CHARACTERS = 255;
export const MAX_IMAGE_CHARACTERS = 512;
/** A job's network has room for 13 addresses, one of them its own. */
export const MAX_SERVICES = 10;
export const MAX_SERVICE_PORTS = 16;
/** Of a service or of its health check, as JSON. */
export const MAX_COMMAND_CHARACTERS = 8_192;
export const MAX_HEALTH_RETRIES = 1_000;
export const MAX_CACHES = 10;
/** Up, and down, of one job. */
export const MAX_ARTIFACTS = 50;
export const MAX_FILE_PATHS = 50;
export const MAX_FILE_PATH_CHARACTERS = 1_024;
/** A digest is put behind it. */
export const MAX_CACHE_KEY_CHARACTERS = 400;
export const STEP_NAME_FALLBACK_CHARACTERS = 80;

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
export const MIN_TIMEOUT_MS = SECOND_MS;
export const MAX_TIMEOUT_MS = 24 * HOUR_MS;
export const DEFAULT_EXECUTION_TIMEOUT_MS = 6 * HOUR_MS;
export const MAX_ARTIFACT_RETENTION_MS = 400 * 24 * HOUR_MS;
/** A run ends after 30 days, whatever it listens for. */
export const MAX_LISTENING_MS = 30 * 24 * HOUR_MS;

/** Only the newest commit: what a job needs, unless it asks for more. */
export const DEFAULT_FETCH_DEPTH = 1;
/** What git takes as a depth; 0 is the whole history. */
export const MAX_FETCH_DEPTH = 2_147_483_647;
