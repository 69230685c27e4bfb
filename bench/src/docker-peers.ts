import { once } from "node:events";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import { execa } from "execa";

const LABEL = "shipfox.bench";
const FIRST_BYTE_TIMEOUT_MS = 30_000;
/** Reads its input to the end: the container lives until it is removed. */
const KEEPER = ["/bin/sh", "-c", "while read -r _; do :; done"];

export interface DockerPeerOptions {
  readonly docker: Docker;
  readonly image: string;
  /** What every one of them runs. */
  readonly command: string;
  /** Marks the containers of this run. */
  readonly runId: string;
}

/** `docker run --rm`, from the start of the command to its first byte of output and to its end. Milliseconds. */
export async function dockerRun(options: DockerPeerOptions): Promise<{ firstByte: number; end: number }> {
  const { image, command, runId } = options;
  const startedAt = performance.now();
  const child = execa("docker", ["run", "--rm", "--label", `${LABEL}=${runId}`, image, "/bin/sh", "-c", command], {
    stdin: "ignore",
    buffer: false,
    timeout: FIRST_BYTE_TIMEOUT_MS,
  });
  await once(child.stdout, "data");
  const byteAt = performance.now();
  child.stdout.resume();
  await child;
  return { firstByte: byteAt - startedAt, end: performance.now() - startedAt };
}

/** The same through the Engine API: create, attach, start, first byte. Removing it again is not counted. */
export async function engineRun({ docker, image, command, runId }: DockerPeerOptions): Promise<number> {
  const startedAt = performance.now();
  const container = await docker.createContainer({
    Image: image,
    Cmd: ["/bin/sh", "-c", command],
    Labels: { [LABEL]: runId },
    AttachStdout: true,
    AttachStderr: true,
  });
  try {
    const output = await container.attach({ stream: true, stdout: true, stderr: true });
    await container.start();
    await firstByte(output);
    const milliseconds = performance.now() - startedAt;
    await container.wait();
    return milliseconds;
  } finally {
    await container.remove({ force: true });
  }
}

/** One `exec` in a running container through the Engine API: create, start, first byte; until its exit code is known. */
export async function engineExec(
  container: Docker.Container,
  command: string,
): Promise<{ firstByte: number; end: number; exitCode: number | null }> {
  const startedAt = performance.now();
  const exec = await container.exec({ Cmd: ["/bin/sh", "-c", command], AttachStdout: true, AttachStderr: true });
  const output = await exec.start({});
  await firstByte(output);
  const byteAt = performance.now();
  await ended(output);
  const { ExitCode: exitCode } = await exec.inspect();
  return { firstByte: byteAt - startedAt, end: performance.now() - startedAt, exitCode };
}

/** A container for `engineExec`, which `removePeers` removes. */
export async function startIdleContainer(options: DockerPeerOptions): Promise<Docker.Container> {
  const { docker, image, runId } = options;
  const container = await docker.createContainer({
    Image: image,
    Entrypoint: KEEPER,
    Labels: { [LABEL]: runId },
    OpenStdin: true,
    HostConfig: { Init: true },
  });
  await container.start();
  return container;
}

/** Whatever of this run is still there, also after an interrupt. */
export async function removePeers({ docker, runId }: DockerPeerOptions): Promise<void> {
  const left = await docker.listContainers({ all: true, filters: { label: [`${LABEL}=${runId}`] } });
  await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
}

async function firstByte(output: NodeJS.ReadableStream): Promise<void> {
  await once(output as Readable, "data", { signal: AbortSignal.timeout(FIRST_BYTE_TIMEOUT_MS) });
}

async function ended(output: NodeJS.ReadableStream): Promise<void> {
  output.resume();
  if ((output as Readable).readableEnded) return;
  await once(output as Readable, "end", { signal: AbortSignal.timeout(FIRST_BYTE_TIMEOUT_MS) });
}
