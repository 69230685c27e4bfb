import type { PullPolicy } from "@shipfox/shared/machine";
import type { HealthDocument, ImageDocument, ServiceDocument } from "../document/document.ts";
import type { DiagnosticLog } from "../diagnostics.ts";
import { unescapeLiteral } from "../expressions/template.ts";
import type { Path, SourceMap } from "../yaml/source-map.ts";
import { envTexts, warnOfRewrittenValues } from "./env.ts";
import { inFileOrder } from "./file-order.ts";
import type { HealthModel, ServiceModel } from "./model.ts";
import { readTimeout } from "./timeout.ts";

interface ServiceSurroundings {
  source: SourceMap;
  faults: DiagnosticLog;
  warnings: DiagnosticLog;
}

export function buildImage(image: ImageDocument): { name: string; pull?: PullPolicy } {
  if (typeof image === "string") return { name: unescapeLiteral(image) };
  return { ...image, name: unescapeLiteral(image.name) };
}

/** `path` is the job's. */
export function buildServices(
  services: Record<string, ServiceDocument>,
  path: Path,
  surroundings: ServiceSurroundings,
): ServiceModel[] {
  const servicesPath = [...path, "services"];
  return [...inFileOrder(services, servicesPath, surroundings.source)].map(([name, service]) =>
    buildService(name, service, [...servicesPath, name], surroundings),
  );
}

function buildService(
  name: string,
  service: ServiceDocument,
  path: Path,
  { source, faults, warnings }: ServiceSurroundings,
): ServiceModel {
  const { image, env, command, ports, health } = typeof service === "string" ? { image: service } : service;
  const { name: reference, pull } = buildImage(image);
  warnOfRewrittenValues(env, [...path, "env"], source, warnings);
  return {
    name,
    image: reference,
    ...(pull === undefined ? {} : { pull }),
    ...(env === undefined ? {} : { env: envTexts(env) }),
    ...(command === undefined ? {} : { command: [command].flat().map(unescapeLiteral) }),
    ...(ports === undefined ? {} : { ports }),
    ...(health === undefined ? {} : { health: buildHealth(health, [...path, "health"], faults) }),
  };
}

function buildHealth(health: HealthDocument, path: Path, log: DiagnosticLog): HealthModel {
  const { cmd, retries } = health;
  const read = (key: "interval" | "timeout" | "start_period") => readTimeout(health[key], [...path, key], log);
  const [intervalMs, timeoutMs, startPeriodMs] = [read("interval"), read("timeout"), read("start_period")];
  return {
    cmd: typeof cmd === "string" ? unescapeLiteral(cmd) : cmd.map(unescapeLiteral),
    ...(intervalMs === null ? {} : { intervalMs }),
    ...(timeoutMs === null ? {} : { timeoutMs }),
    ...(retries === undefined ? {} : { retries }),
    ...(startPeriodMs === null ? {} : { startPeriodMs }),
  };
}
