import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Provider } from "../driver.ts";
import { ec2Driver } from "./ec2-driver.ts";
import type { Ec2Machine } from "./options.ts";
import { GROUP, IMAGES, REGION, SUBNETS, TestRegion } from "./test-region.fixture.ts";

/** A region with a file of credentials for it, as an operator would have one. */
export class OpenRegion {
  readonly region: TestRegion;
  readonly #folder: string;
  readonly #opened: Provider<Ec2Machine>[] = [];

  private constructor(region: TestRegion, folder: string) {
    this.region = region;
    this.#folder = folder;
  }

  static async start(): Promise<OpenRegion> {
    const opened = new OpenRegion(await TestRegion.start(), await mkdtemp(join(tmpdir(), "ec2-driver-")));
    const { id, secret } = opened.region.key;
    await opened.writeFile("credentials", `[ci]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret}\n`);
    return opened;
  }

  /** In the folder at which relative paths of the settings start. */
  async writeFile(name: string, text: string, mode = 0o600): Promise<void> {
    await writeFile(join(this.#folder, name), text, { mode });
  }

  async open(settings: Record<string, unknown> = {}): Promise<Provider<Ec2Machine>> {
    const given = { region: REGION, endpoint: this.region.endpoint, credentials_file: "credentials", profile: "ci" };
    const parsed = ec2Driver.settingsSchema.parse({ ...given, ...settings });
    const provider = await ec2Driver.open(parsed, { stateDir: "/nonexistent", baseDir: this.#folder });
    this.#opened.push(provider);
    return provider;
  }

  async close(): Promise<void> {
    for (const provider of this.#opened) await provider.close();
    await this.region.close();
    await rm(this.#folder, { recursive: true });
  }
}

/** The smallest machine, in the first subnet. */
export function machineOf(options: Record<string, unknown> = {}): Ec2Machine {
  const given = { image: IMAGES.stay, instance_type: "m7i.large", subnets: [SUBNETS[0]], security_groups: [GROUP] };
  return ec2Driver.machineSchema.parse({ ...given, ...options });
}
