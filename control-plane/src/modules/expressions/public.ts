export { Evaluator } from "./evaluator.ts";
