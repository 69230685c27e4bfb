import { VERSION } from "@shipfox/shared/version";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { BareMachine, type MachineResult } from "../src/bare-machine.ts";
import { useStage } from "../src/stage.ts";
import { buildTarballs } from "../src/tarballs.ts";

const TARBALL = `shipfox-runner-${VERSION}-linux-${process.arch}.tar.gz`;
const TOKEN = `sf_mrt_${"a".repeat(43)}`;
const MISSING = 3;
const USAGE = 64;

describe("[docker] attacks on the installer", () => {
  const stage = useStage();
  let machine: BareMachine;
  let before: string;

  beforeAll(async () => {
    const release = await stage.folder("release");
    await buildTarballs(release, "--component", "runner");
    machine = await BareMachine.boot(stage, { [release]: "/srv/release" });
    before = await machine.listing();
  });

  const install = (...flags: string[]) =>
    machine.try(`export SHIPFOX_TOKEN=${TOKEN}; sh /srv/release/install.sh runner --sandbox host ${flags.join(" ")}`);

  async function expectRefused(result: MachineResult, code: number, words: RegExp): Promise<void> {
    expect([result.code, result.stderr]).toEqual([code, expect.stringMatching(words)]);
    expect(await machine.listing()).toBe(before);
  }

  /** A copy of the release with one thing wrong. */
  async function spoiled(script: string): Promise<string[]> {
    await machine.sh(`rm -rf /srv/spoiled; cp -R /srv/release /srv/spoiled; cd /srv/spoiled; ${script}`);
    return ["--url", "http://localhost:16101", "--from", "/srv/spoiled"];
  }
  const listed = `sha256sum ${TARBALL} >SHA256SUMS`;

  it(`${attack(23, "a damaged archive")}`, async () => {
    const flags = await spoiled(`head -c 1000000 /srv/release/${TARBALL} >${TARBALL}; ${listed}`);
    await expectRefused(await install(...flags), 1, /is damaged/);
  });

  it(`${attack(23, "another sum, and no sum")}`, async () => {
    await expectRefused(await install(...(await spoiled(`printf x >>${TARBALL}`))), 1, /does not have the checksum/);
    await expectRefused(await install(...(await spoiled("rm SHA256SUMS"))), 1, /no SHA256SUMS/);
  });

  it(`${attack(23, "files outside of the folder")}`, async () => {
    const flags = await spoiled(`tar -czPf ${TARBALL} /etc/hostname; ${listed}`);
    await expectRefused(await install(...flags), 1, /files outside of its folder/);
  });

  it(`${attack(23, "a program that is not what it is called")}`, async () => {
    const folder = TARBALL.replace(".tar.gz", "");
    const flags = await spoiled(
      `mkdir -p ${folder}/bin; printf '#!/bin/sh\\necho 6.6.6\\n' >${folder}/bin/shipfox-runner; chmod +x ${folder}/bin/*
      tar -czf ${TARBALL} ${folder}; ${listed}`,
    );
    await expectRefused(await install(...flags), 1, /calls itself 6\.6\.6/);
  });

  it(`${attack(23, "a machine on which something is missing")}`, async () => {
    await machine.sh("mv /usr/bin/git /usr/bin/git.away");
    const result = await install("--url", "http://localhost:16101", "--from", "/srv/release");
    await machine.sh("mv /usr/bin/git.away /usr/bin/git");
    await expectRefused(result, MISSING, /missing: the program git[^]*apt-get install -y git/);
  });

  it(`${attack(23, "commands in arguments")}`, async () => {
    const hostile = ["'$(touch /hit)'", "'x;touch /hit'", "'`touch /hit`'", "'x\ny'", "'../../hit'", "'x|id'"];
    for (const value of hostile) {
      for (const flag of ["--url", "--labels", "--name", "--user", "--version", "--sandbox"]) {
        const result = await install("--from", "/srv/release", flag, value);
        expect([flag, value, result.code]).toEqual([flag, value, USAGE]);
      }
    }
    await expectRefused(await install("--labels", "'x;touch /hit'"), USAGE, /--labels: expected/);
  });

  it(`${attack(23, "a download of the script that was cut off")}`, async () => {
    const size = Number(await machine.sh("stat -c %s /srv/release/install.sh"));
    const cut = `head -c ${size - 5} /srv/release/install.sh | sh -s -- runner --url http://localhost:16101 --from /srv/release`;
    await machine.try(cut);
    expect(await machine.listing()).toBe(before);
  });

  it(`${attack(21, "plain http to another machine")}`, async () => {
    await expectRefused(await install("--url", "http://ci.example.com"), MISSING, /plain http[^]*--insecure/);
    for (const host of ["localhost.example.com", "127.0.0.1.example.com", "127.1.example.com:16101"])
      expect((await install("--url", `http://${host}`)).code).toBe(MISSING);
  });

  it(`${attack(21, "a certificate that nobody vouches for")}`, async () => {
    await machine.sh(`mkdir /srv/tls; cd /srv/tls
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null
      systemd-run --quiet --unit=impostor --working-directory=/srv/tls openssl s_server -quiet -WWW -port 8443 -key key.pem -cert cert.pem`);
    const url = "https://localhost:8443";
    await expectRefused(await install("--url", url), 1, /is not trusted[^]*--ca FILE/);
    const trusted = await install("--url", url, "--ca", "/srv/tls/cert.pem");
    await machine.sh("systemctl stop impostor");
    await expectRefused(trusted, 1, /^(?![^]*is not trusted)/);
  });
});
