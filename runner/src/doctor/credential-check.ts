import { credentialReplySchema } from "@shipfox/shared/machine";
import type { RunnerConfig } from "../config.ts";
import { StateFolder, StateFolderError } from "../state-folder.ts";
import { type Check, type Finding, fail, ok, warn } from "@shipfox/shared/operate/check";
import type { PlaneProbe } from "./plane-probe.ts";
import { unanswered } from "./plane-checks.ts";

const NOT_FOUND = 404;
const NEW_TOKEN =
  'Make a registration token with "shipfox runners add" and set SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE to a file that holds it.';

/** Whether the control plane would let this runner in; the token is only shown, nothing is registered. */
export function credentialCheck(config: RunnerConfig, probe: PlaneProbe): Check {
  return { name: "credential", run: () => run(config, probe) };
}

async function run(config: RunnerConfig, probe: PlaneProbe): Promise<Finding> {
  let own: string | null;
  try {
    own = StateFolder.peekCredential(config.stateDir, config.apiUrl)?.runner_token ?? null;
  } catch (error) {
    if (!(error instanceof StateFolderError)) throw error;
    return fail(error.message, `Remove ${config.stateDir}/credential.json. ${NEW_TOKEN}`);
  }
  const token = own ?? config.registrationToken ?? null;
  if (token === null) return fail(`there is none for ${config.apiUrl} in ${config.stateDir}`, NEW_TOKEN);
  const what = own === null ? "the registration token" : "the runner's credential";
  const answer = await probe.get("runners/credential", { authorization: `Bearer ${token}` }).catch(() => null);
  if (answer === null) return unanswered();
  const body = parse(answer.body);
  if (answer.status === NOT_FOUND)
    return warn(`unknown: this control plane cannot check ${what}`, "Upgrade the control plane, or start the runner.");
  if (answer.status !== 200) {
    const { message = `HTTP ${answer.status}` } = Object(body) as { message?: string };
    return fail(
      `${what} is refused: ${message}`,
      own === null ? NEW_TOKEN : `Stop the runner and remove ${config.stateDir}/credential.json. ${NEW_TOKEN}`,
    );
  }
  const known = credentialReplySchema.safeParse(body);
  if (known.success && known.data.kind === "runner") return ok(`registered as ${known.data.name}`);
  return ok(`${what} is good; the runner registers at its first start`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
