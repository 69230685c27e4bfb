import { parentPort } from "node:worker_threads";
import { performTask } from "./task.ts";
import type { Task } from "./task.ts";

// The thread of Evaluator: says that it is there, then one answer to each task.
parentPort?.on("message", (task: Task) => parentPort?.postMessage(performTask(task)));
parentPort?.postMessage("ready");
