import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { silentLog, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { MailServer, type MailServerOptions } from "../../testing/mail-server.ts";
import { Envelope } from "../secrets/public.ts";
import type { Letter } from "./letter.ts";
import { renderLetter } from "./letter.ts";
import { Mail } from "./mail.ts";
import { Smtp, type SmtpSettings } from "./smtp.ts";

const HOUR_MS = 3_600_000;
const RETRY_MS = 12_000;
const letter: Letter = { to: "ada@example.com", subject: "Hello", paragraphs: ["Welcome."], code: "12345678" };
const login = { user: "ci", password: "mail password" };

describeStores("mail", (open) => {
  let store: Store;
  let clock: ReturnType<typeof testClock>;
  const running: Mail[] = [];
  const servers: MailServer[] = [];

  beforeEach(async () => {
    store = await open();
    clock = testClock(Date.now());
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((mail) => mail.stop()));
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  async function serve(options: MailServerOptions = {}, port = 0): Promise<MailServer> {
    const server = await MailServer.start(options, port);
    servers.push(server);
    return server;
  }

  function start(port: number, settings: Partial<SmtpSettings> = {}): Mail {
    const smtp = new Smtp({
      host: "localhost",
      port,
      tls: "none",
      user: undefined,
      password: undefined,
      from: "Shipfox <ci@example.com>",
      ca: undefined,
      ...settings,
    });
    const mail = new Mail({ store, clock, log: silentLog, envelope: new Envelope(TEST_ROOT_KEY), smtp });
    mail.start();
    running.push(mail);
    return mail;
  }

  async function send(mail: Mail, sent: Letter = letter, lifetimeMs = HOUR_MS): Promise<void> {
    const sealed = mail.seal(sent, lifetimeMs);
    await store.write((tx) => mail.enqueue(tx, sealed));
  }

  const queue = () =>
    store.read((tx) =>
      tx.all<{ attempts: number; due_at: number; last_error: string | null }>("select * from mail_queue order by id"),
    );
  async function failedOnce(): Promise<void> {
    await expect.poll(queue).toMatchObject([{ last_error: expect.any(String) }]);
  }

  it("goes out as text and HTML, and leaves the queue", async () => {
    const server = await serve();
    await send(start(server.port));
    const { from, to, raw } = await server.mailTo(letter.to);
    expect([from, to]).toEqual(["ci@example.com", [letter.to]]);
    expect(raw).toContain("From: Shipfox <ci@example.com>");
    expect(raw).toContain("Subject: Hello");
    expect(raw).toContain("Content-Type: text/plain");
    expect(raw).toContain("Content-Type: text/html");
    expect(raw).toContain("12345678");
    await expect.poll(queue).toEqual([]);
  });

  it("waits sealed in the database: its codes and links are not for who reads that", async () => {
    const mail = new Mail({ store, clock, log: silentLog, envelope: new Envelope(TEST_ROOT_KEY), smtp: null });
    await send(mail);
    const stored = JSON.stringify(await queue());
    expect(stored).not.toContain("12345678");
    expect(stored).not.toContain("ada@example.com");
  });

  it("signs in over STARTTLS, or over TLS from the start", async () => {
    for (const tls of ["starttls", "implicit"] as const) {
      const server = await serve({ tls, login });
      await send(start(server.port, { tls, ...login, ca: server.ca }));
      expect((await server.mailTo(letter.to)).from).toBe("ci@example.com");
      await running.splice(0)[0]?.stop();
    }
  });

  it("sends nothing to a server whose certificate is not trusted, or that has no TLS", async () => {
    const untrusted = await serve({ tls: "starttls", login });
    await send(start(untrusted.port, { tls: "starttls", ...login }));
    await failedOnce();
    expect(untrusted.received).toEqual([]);
    await running.splice(0)[0]?.stop();
    await store.write((tx) => tx.run("delete from mail_queue"));
    const plain = await serve();
    await send(start(plain.port, { tls: "starttls" }));
    await failedOnce();
    expect(plain.received).toEqual([]);
  });

  it("waits while the server refuses our password, which the operator can put right", async () => {
    const server = await serve({ tls: "starttls", login });
    const first = start(server.port, { tls: "starttls", user: "ci", password: "wrong", ca: server.ca });
    await send(first);
    await failedOnce();
    await first.stop();
    clock.advance(RETRY_MS);
    start(server.port, { tls: "starttls", ...login, ca: server.ca });
    expect((await server.mailTo(letter.to)).to).toEqual([letter.to]);
  });

  it("is tried again when the server says later (4xx), and once only when it says no (5xx)", async () => {
    let greylisted = 0;
    const server = await serve({
      receive: (address) => {
        if (address === "nobody@example.com") return 550;
        greylisted += 1;
        return greylisted === 1 ? 451 : null;
      },
    });
    const mail = start(server.port);
    await send(mail, { ...letter, to: "nobody@example.com" });
    await expect.poll(queue).toEqual([]);
    await send(mail);
    await failedOnce();
    await mail.stop();
    clock.advance(RETRY_MS);
    start(server.port);
    await server.mailTo(letter.to);
    await expect.poll(queue).toEqual([]);
    expect(server.received.flatMap(({ to }) => to)).toEqual([letter.to]);
  });

  it("survives a server that is down, and our own end in the middle", async () => {
    const away = await MailServer.start();
    await away.close();
    const first = start(away.port);
    await send(first);
    await failedOnce();
    await first.stop();
    // As a kill leaves it: taken by a process that is no more.
    await store.write((tx) => tx.run("update mail_queue set due_at = ?", [clock.now() + 120_000]));
    clock.advance(120_000);
    const back = await serve({}, away.port);
    start(away.port);
    expect((await back.mailTo(letter.to)).raw).toContain("12345678");
  });

  it("is given up when it is of no use any more", async () => {
    const away = await MailServer.start();
    await away.close();
    const mail = start(away.port);
    await send(mail, letter, 5_000);
    await expect.poll(queue).toEqual([]);
    await mail.stop();
    await send(mail, letter, 5_000);
    clock.advance(5_000);
    const back = await serve({}, away.port);
    start(away.port);
    await expect.poll(queue).toEqual([]);
    expect(back.received).toEqual([]);
  });

  it("bounds what waits", async () => {
    const mail = new Mail({ store, clock, log: silentLog, envelope: new Envelope(TEST_ROOT_KEY), smtp: null });
    const sealed = mail.seal(letter, HOUR_MS);
    await store.write(async (tx) => {
      const sql = `insert into mail_queue (id, sealed_letter, attempts, due_at, expires_at, created_at)
        values (?, '', 0, 0, 0, 0)`;
      for (let mails = 0; mails < 10_000; mails += 1) await tx.run(sql, [`mail-${mails}`]);
    });
    await expect(store.write((tx) => mail.enqueue(tx, sealed))).rejects.toMatchObject({ code: "overloaded" });
  });

  it("does not let a name become a header, another receiver or markup", async () => {
    const server = await serve();
    const hostile = 'Eve\r\nBcc: mallory@example.com\r\n\r\n<b onclick="x()">';
    await send(start(server.port), {
      to: "ada@example.com",
      subject: `${hostile} invites you`,
      paragraphs: [`${hostile} invites you.`],
      link: "https://ci.example.com/?token=a&b=<c>",
    });
    const { to, raw } = await server.mailTo("ada@example.com");
    expect(to).toEqual(["ada@example.com"]);
    const headers = raw.slice(0, raw.indexOf("\r\n\r\n"));
    expect(headers).not.toMatch(/^bcc:/im);
    expect(raw.split("Content-Type: text/html")[1]).not.toContain("<b onclick");
  });
});

describe("renderLetter", () => {
  it("says the same in both forms, escaped in HTML", () => {
    const { subject, text, html } = renderLetter({
      to: "ada@example.com",
      subject: `${"x".repeat(200)}`,
      paragraphs: ["<script>alert('&\")</script>", "two\nlines\u202eevil"],
      link: "https://ci.example.com/a?b=1&c=2",
    });
    expect(subject).toHaveLength(150);
    expect(text).toContain("<script>");
    expect(text).toContain("two lines evil");
    expect(text).toContain("https://ci.example.com/a?b=1&c=2");
    expect(html).toContain("&lt;script&gt;alert(&#39;&amp;&quot;)&lt;/script&gt;");
    expect(html).toContain('href="https://ci.example.com/a?b=1&amp;c=2"');
    expect(html).not.toContain("\u202e");
  });
});
