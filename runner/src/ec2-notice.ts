import { HttpCaller } from "@shipfox/shared/http-call";
import type { Logger } from "@shipfox/shared/logger";

/** An interruption is announced two minutes ahead; Amazon asks to look every five seconds. */
const LOOK_INTERVAL_MS = 5_000;
const CALL_TIMEOUT_MS = 2_000;
const TOKEN_TTL_SECONDS = 21_600;
const NOTICES = ["spot/instance-action", "events/recommendations/rebalance"] as const;

export interface Ec2NoticeOptions {
  /** Of the instance metadata service (IMDSv2). */
  readonly baseUrl: string;
  readonly logger: Logger;
  /** Called once, with which notice it was. */
  readonly onNotice: (what: string) => void;
  /** Between two looks, in milliseconds. */
  readonly intervalMs?: number;
}

/**
 * Asks the metadata service of EC2 whether this spot instance is about to be interrupted, or likely to be. A service that does
 * not answer is asked again at the next look; the log says so once. The result stops the asking.
 */
export function watchForEc2Notice({ baseUrl, logger, onNotice, intervalMs = LOOK_INTERVAL_MS }: Ec2NoticeOptions) {
  const metadata = new Ec2Metadata(baseUrl);
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  let isSilent = false;
  const stop = () => {
    isStopped = true;
    clearTimeout(timer);
    metadata.close();
  };
  const look = async () => {
    try {
      const notice = await metadata.findNotice();
      isSilent = false;
      if (isStopped) return;
      if (notice !== null) {
        stop();
        onNotice(notice);
        return;
      }
    } catch (error) {
      if (isStopped) return;
      if (!isSilent) logger.warn({ err: error }, "notices of EC2 cannot be read; the runner goes on trying");
      isSilent = true;
    }
    timer = setTimeout(() => void look(), intervalMs).unref();
  };
  void look();
  return stop;
}

class Ec2Metadata {
  readonly #caller: HttpCaller;
  #token: string | null = null;

  constructor(baseUrl: string) {
    this.#caller = new HttpCaller(baseUrl, null, "The metadata service");
  }

  async findNotice(): Promise<string | null> {
    for (const notice of NOTICES) if (await this.#has(`latest/meta-data/${notice}`)) return notice;
    return null;
  }

  close(): void {
    this.#caller.close();
  }

  async #has(path: string): Promise<boolean> {
    this.#token ??= await this.#newToken();
    const headers = { "x-aws-ec2-metadata-token": this.#token };
    const { status } = await this.#caller.send({ method: "GET", path, headers, timeoutMs: CALL_TIMEOUT_MS });
    if (status === 401) this.#token = null;
    if (status !== 200 && status !== 404) throw new Error(`the metadata service answered ${status} to ${path}`);
    return status === 200;
  }

  async #newToken(): Promise<string> {
    const headers = { "x-aws-ec2-metadata-token-ttl-seconds": String(TOKEN_TTL_SECONDS) };
    const call = { method: "PUT", path: "latest/api/token", headers, timeoutMs: CALL_TIMEOUT_MS } as const;
    const { status, body } = await this.#caller.send(call);
    if (status !== 200) throw new Error(`the metadata service answered ${status} to the request for a token`);
    return body.toString("utf8");
  }
}
