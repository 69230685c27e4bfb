import type { Engine } from "./engine.ts";
import type { DockerMachine } from "./options.ts";

const MIB = 1024 ** 2;
/** Docker Engine 20.10: before it, no container had a cgroup namespace of its own. */
const MIN_API = [1, 41] as const;

interface EngineInfo {
  readonly NCPU?: number;
  readonly MemTotal?: number;
  readonly Runtimes?: Readonly<Record<string, unknown>>;
}

/** What keeps machines like these from working on the engine, a sentence each. Rejects when the engine does not answer. */
export async function checkEngine(
  engine: Engine,
  machines: readonly DockerMachine[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { ApiVersion } = await engine.call("look at its version", { signal }, (docker) => docker.version());
  const info = await engine.call("look at the engine", { signal }, (docker) => docker.info() as Promise<EngineInfo>);
  const problems = machines.flatMap((machine) => limitProblems(machine, info));
  if (isOlder(ApiVersion)) problems.push(`the engine speaks API ${ApiVersion}; 20.10 or newer is needed (API 1.41)`);
  for (const name of new Set(machines.map(({ image }) => image))) {
    const image = await engine.find("look at an image", { signal }, (docker) => docker.getImage(name).inspect());
    if (image === null) problems.push(missingImage(name));
  }
  return problems;
}

function limitProblems({ cpus, memory_mib: memoryMib, runtime }: DockerMachine, info: EngineInfo): string[] {
  const problems: string[] = [];
  const { NCPU = cpus, MemTotal = memoryMib * MIB, Runtimes = {} } = info;
  if (cpus > NCPU) problems.push(`cpus: ${cpus} is more than the ${NCPU} of the engine's machine`);
  if (memoryMib * MIB > MemTotal)
    problems.push(`memory_mib: ${memoryMib} is more than the ${Math.floor(MemTotal / MIB)} of the engine's machine`);
  if (runtime !== undefined && !Object.hasOwn(Runtimes, runtime))
    problems.push(`runtime: the engine knows no ${runtime}, only ${Object.keys(Runtimes).join(", ")}`);
  return problems;
}

function isOlder(apiVersion: string): boolean {
  const [major = 0, minor = 0] = apiVersion.split(".").map(Number);
  return major < MIN_API[0] || (major === MIN_API[0] && minor < MIN_API[1]);
}

export function missingImage(image: string): string {
  return `the image ${image} is not on the engine's machine; make it with scripts/runner-image, or docker pull it`;
}
