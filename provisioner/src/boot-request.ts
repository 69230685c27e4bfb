import type { CreateRequest, InstanceTags } from "./drivers/driver.ts";
import type { Template } from "./templates/template.ts";

const NAME_CHARS = 12;

/** What one machine is made with; `idleLimitMs` is how long its runner waits for a job before it ends by itself. */
export function bootRequest(
  tags: InstanceTags,
  registrationToken: string,
  template: Template,
  idleLimitMs: number,
): CreateRequest<unknown> {
  const name = `shipfox-${tags.instance.slice(-NAME_CHARS)}`;
  return {
    name,
    tags,
    templateKey: template.key,
    machine: template.machine,
    boot: {
      registrationToken,
      runnerEnv: {
        SHIPFOX_API_URL: template.runnerApiUrl,
        SHIPFOX_RUNNER_NAME: name,
        SHIPFOX_RUNNER_LABELS: template.labels.join(","),
        SHIPFOX_RUNNER_SANDBOX: template.sandbox,
        SHIPFOX_RUNNER_MAX_LIFETIME_MS: `${template.maxLifetimeMs}`,
        SHIPFOX_RUNNER_IDLE_LIMIT_MS: `${idleLimitMs}`,
        SHIPFOX_RUNNER_REGISTER_LIMIT_MS: `${template.bootTimeoutMs}`,
      },
    },
    maxLifetimeMs: template.maxLifetimeMs,
  };
}
