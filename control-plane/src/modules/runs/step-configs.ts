import type { CheckoutConfig, RunConfig, SecretBinding } from "@shipfox/shared/machine";
import {
  type AuthoredStepModel,
  type CheckoutStepModel,
  type RunStepModel,
  type Template,
  literalTextOf,
} from "../workflow/public.ts";

/** What a runner is told of an authored step, as far as it is known before the step starts. */
export function authoredConfig(step: AuthoredStepModel, { isFirst }: { isFirst: boolean }): RunConfig | CheckoutConfig {
  return step.type === "checkout" ? checkoutStepConfig(step, isFirst) : runStepConfig(step);
}

function runStepConfig(step: RunStepModel): RunConfig {
  return {
    run: step.run,
    ...(Object.keys(step.env).length > 0 ? { env: step.env } : {}),
    ...secretsOf(step),
    ...(step.workingDirectory === null ? {} : { working_directory: step.workingDirectory }),
    ...(step.timeoutMs === null ? {} : { timeout_ms: step.timeoutMs }),
  };
}

/** The first step of all stands for the checkout that a job starts with, so it is made where that would be. */
function checkoutStepConfig(step: CheckoutStepModel, isFirst: boolean): CheckoutConfig {
  const known = Object.entries(step.target).filter(([, template]) => template.every(({ kind }) => kind === "literal"));
  return {
    checkout: {
      fetch_depth: step.fetchDepth,
      permissions: { contents: step.contents },
      persist_credentials: step.persistCredentials,
      ...(step.force ? { force: true } : {}),
      ...(isFirst && step.target.path === undefined ? { path: "." } : {}),
      ...Object.fromEntries(known.map(([key, template]) => [key, literalTextOf(template)])),
    },
  };
}

/** Variables with expressions are bound when the step starts. */
function secretsOf({ bindings = {} }: RunStepModel): Pick<RunConfig, "secret_bindings"> {
  const known = Object.entries(bindings).filter(([, template]) => template.every(({ kind }) => kind !== "expression"));
  return known.length === 0 ? {} : { secret_bindings: secretBindings(Object.fromEntries(known)) };
}

export function secretBindings(bindings: Record<string, Template>): SecretBinding[] {
  return Object.entries(bindings).map(([target, template]) => ({
    target,
    segments: template.map((segment) => {
      if (segment.kind === "literal" || segment.kind === "secret") return segment;
      throw new Error(`the ${segment.kind} of ${target} was not resolved before the run`);
    }),
  }));
}
