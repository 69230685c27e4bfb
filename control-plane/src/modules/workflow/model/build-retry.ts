import type { RetryDocument } from "../document/document.ts";
import { RETRY_CAUSES } from "../document/retry.ts";
import type { DiagnosticLog } from "../diagnostics.ts";
import { MAX_TIMEOUT_MS } from "../limits.ts";
import type { Path } from "../yaml/source-map.ts";
import type { RetryModel } from "./model.ts";
import { readTimeout } from "./timeout.ts";

const DEFAULT_FACTOR = 2;

export function buildRetry(retry: RetryDocument, path: Path, faults: DiagnosticLog): RetryModel {
  const { max, on, backoff } = typeof retry === "number" ? { max: retry } : retry;
  const range = { minMs: 0, maxMs: MAX_TIMEOUT_MS };
  const read = (key: "delay" | "max") => readTimeout(backoff?.[key], [...path, "backoff", key], faults, range);
  const delayMs = read("delay") ?? 0;
  return {
    max,
    on: on === undefined ? [...RETRY_CAUSES] : [...new Set([on].flat())],
    backoff: { delayMs, factor: backoff?.factor ?? DEFAULT_FACTOR, maxMs: read("max") ?? MAX_TIMEOUT_MS },
  };
}
