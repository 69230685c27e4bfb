import { parentPort, workerData } from "node:worker_threads";
import { readDefinition } from "./model.ts";

// The thread of DefinitionReader: one answer for each file, in their order.
const defaultRunnerLabels = workerData as readonly string[];
parentPort?.on("message", (yaml: string) => parentPort?.postMessage(readDefinition(yaml, defaultRunnerLabels)));
