import { SandboxError } from "../sandbox-error.ts";
import { type Engine, rejectOnAbort } from "./engine.ts";
import { ExecStream, waitForExit } from "./exec-stream.ts";

const MAX_OUTPUT_BYTES = 4096;

/**
 * Runs a short command of the runner's own in a container; `output` is the start of what it printed. Rejects with `timed_out`
 * after `timeoutMs`; the command may live on then.
 */
export async function runExec(
  engine: Engine,
  containerId: string,
  command: string[],
  user: string,
  timeoutMs: number,
): Promise<{ exitCode: number; output: string }> {
  const execId = await engine.createExec(containerId, {
    Cmd: command,
    User: user,
    AttachStdout: true,
    AttachStderr: true,
  });
  const exec = await ExecStream.start(engine, execId, false);
  const deadline = AbortSignal.timeout(timeoutMs);
  let output = "";
  const collect = async () => {
    for await (const { chunk } of exec.output()) {
      if (output.length < MAX_OUTPUT_BYTES) output += chunk.toString("utf8");
    }
  };
  try {
    const both = Promise.all([waitForExit(engine, exec), collect()]);
    const [exitCode] = await Promise.race([both, rejectOnAbort(deadline)]);
    return { exitCode, output: output.trim() };
  } catch (error) {
    if (!deadline.aborted) throw error;
    throw new SandboxError("timed_out", `A command of the runner in a container took over ${timeoutMs} ms.`, {
      cause: error,
    });
  } finally {
    exec.destroy();
  }
}
