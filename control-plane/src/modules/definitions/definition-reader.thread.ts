import { parentPort, workerData } from "node:worker_threads";
import type { ReadRequest } from "./definition-reader.ts";
import { readDefinition } from "./model.ts";

// The thread of DefinitionReader: one file, one answer.
const { yaml, defaultRunnerLabels } = workerData as ReadRequest;
parentPort?.postMessage(readDefinition(yaml, defaultRunnerLabels));
