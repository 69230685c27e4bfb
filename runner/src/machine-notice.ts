import { existsSync, type FSWatcher, watch } from "node:fs";
import { dirname } from "node:path";

/** `fs.watch` misses folders that come later and says nothing on some file systems, so the file is also looked for. */
const LOOK_INTERVAL_MS = 1_000;

/**
 * Calls `onNotice` once, as soon as the file at `path` is there: what tells an operator's script, or the agent of a cloud,
 * that this machine is about to be taken away. The result stops the watching.
 */
export function watchForNotice(path: string, onNotice: () => void): () => void {
  let watcher: FSWatcher | null = null;
  const stop = () => {
    clearInterval(timer);
    watcher?.close();
  };
  const look = () => {
    if (isStopped || !existsSync(path)) return;
    isStopped = true;
    stop();
    onNotice();
  };
  let isStopped = false;
  const timer = setInterval(look, LOOK_INTERVAL_MS).unref();
  try {
    watcher = watch(dirname(path), { persistent: false }, look);
    watcher.on("error", () => watcher?.close());
  } catch {
    watcher = null;
  }
  setImmediate(look);
  return () => {
    isStopped = true;
    stop();
  };
}
