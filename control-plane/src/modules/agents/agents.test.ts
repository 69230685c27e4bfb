import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createResolver } from "../../network/resolve-host.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { insertUser, insertWorkspace } from "../../testing/rows.ts";
import { Envelope } from "../secrets/public.ts";
import { access } from "../workspaces/public.ts";
import { KEY, type ModelServer, serveModels } from "../../testing/model-server.ts";
import { createAgentRoutes, Prober } from "./public.ts";
import { parseProviderUrls } from "./provider-urls.ts";

const PROBE_TIMEOUT_MS = 400;
const NEVER_ASKED = "http://127.0.0.1:1";

describeStores("agent providers", (open) => {
  let store: Store;
  let api: Api;
  let openAi: ModelServer;
  let anthropic: ModelServer;
  let google: ModelServer;
  let azure: ModelServer;
  let workspaceId: string;
  const users = {} as Record<"admin" | "maintainer" | "viewer" | "stranger", string>;

  beforeEach(async () => {
    [openAi, anthropic, google] = await Promise.all([
      serveModels("openai"),
      serveModels("anthropic"),
      serveModels("google"),
    ]);
    azure = await serveModels("openai", { name: "api-key", value: KEY });
    store = await open();
    api = await serve(true);
    for (const name of ["admin", "maintainer", "viewer", "stranger"] as const) users[name] = await insertUser(store);
    workspaceId = await insertWorkspace(store, {
      [users.admin]: "admin",
      [users.maintainer]: "maintainer",
      [users.viewer]: "viewer",
    });
  });
  afterEach(async () => {
    await Promise.all([api, openAi, anthropic, google, azure].map((server) => server.close()));
  });

  function serve(allowPrivate: boolean): Promise<Api> {
    const clock = testClock();
    const resolve = createResolver();
    const providerUrls = new Map([
      ["anthropic", anthropic.url],
      ["deepseek", `${openAi.url}/v1`],
      ["openai", `${openAi.url}/v1`],
      ["google", `${google.url}/v1beta`],
    ]);
    return serveApi(
      createAgentRoutes({
        store,
        clock,
        access,
        envelope: new Envelope(TEST_ROOT_KEY),
        resolve,
        prober: new Prober({ clock, resolve, version: "1.2.3", timeoutMs: PROBE_TIMEOUT_MS }),
        settings: { allowPrivate, providerUrls },
      }),
    );
  }
  const call = (method: string, path: string, body?: unknown, user = users.admin, from = api) =>
    from.call(method, `/workspaces/${workspaceId}/agent${path}`, { user, ...(body === undefined ? {} : { body }) });
  const configure = (providerId: string, fields: Record<string, unknown> = {}) =>
    call("PUT", `/model-providers/${providerId}`, {
      credentials: { api_key: KEY },
      default_model: "model-a",
      ...fields,
    });
  const list = async () => (await call("GET", "", undefined, users.viewer)).body;
  const custom = (fields: Record<string, unknown> = {}) =>
    call("POST", "/custom-model-providers", {
      slug: "in-house",
      display_name: "In house",
      api: "openai-completions",
      base_url: `${openAi.url}/v1`,
      api_key: KEY,
      models: [{ id: "model-a", label: "Model A" }],
      ...fields,
    });

  it("has the published catalogue under both paths, in its order", async () => {
    const catalog = await api.call("GET", "/agent/provider-catalog", { user: users.stranger });
    expect(catalog.status).toBe(200);
    expect((await api.call("GET", "/agent/model-provider-catalog", { user: users.viewer })).body).toEqual(catalog.body);
    const { providers } = catalog.body;
    expect(providers).toHaveLength(37);
    expect(providers[0]).toEqual({
      id: "anthropic",
      label: "Anthropic",
      support_status: "supported",
      default_model: "claude-opus-4-8",
      credential_fields: [{ key: "api_key", label: "API key", secret: true }],
      unsupported_reason: null,
      models: [{ id: "claude-opus-4-8", label: "claude-opus-4-8" }],
    });
    const keysOf = (id: string) =>
      providers
        .find((provider: { id: string }) => provider.id === id)
        .credential_fields.map(({ key, secret }: { key: string; secret: boolean }) => [key, secret]);
    expect(keysOf("azure-openai-responses")).toEqual([
      ["endpoint", false],
      ["api_key", true],
    ]);
    expect(keysOf("cloudflare-ai-gateway")).toEqual([
      ["api_key", true],
      ["account_id", false],
      ["gateway_id", false],
    ]);
    expect(providers.filter((one: { support_status: string }) => one.support_status === "unsupported")).toHaveLength(4);
    expect(keysOf("amazon-bedrock")).toEqual([]);
  });

  it.each([
    ["deepseek", "openai-completions", () => openAi],
    ["openai", "openai-responses", () => openAi],
    ["anthropic", "anthropic-messages", () => anthropic],
    ["google", "google-generative-ai", () => google],
  ])("configures %s, which speaks %s, once it has answered with the key", async (providerId, _api, server) => {
    const configured = await configure(providerId);
    expect(configured).toMatchObject({
      status: 200,
      body: {
        kind: "builtin",
        provider_id: providerId,
        default_model: "model-a",
        key_fingerprints: { api_key: "…cdef" },
      },
    });
    expect(server().received).toHaveLength(1);
    expect((await list()).configs).toEqual([configured.body]);
    const rows = await store.read((tx) => tx.all("select * from agent_providers"));
    expect(JSON.stringify([rows, configured.body])).not.toContain(KEY);
  });

  it("calls Azure at the endpoint of the workspace, with its own header", async () => {
    const credentials = { endpoint: `${azure.url}/`, api_key: KEY };
    expect(await configure("azure-openai-responses", { credentials })).toMatchObject({ status: 200 });
    expect(azure.received[0]?.path).toBe("/openai/v1/responses");
  });

  it("saves nothing when the provider does not answer as it should, and says what it said, without the key", async () => {
    const refused = await configure("deepseek", { credentials: { api_key: "sk-wrong-key-of-the-user" } });
    expect([refused.status, refused.body]).toMatchObject([
      422,
      {
        code: "provider-validation-failed",
        details: { provider_id: "deepseek", message: expect.stringContaining("Incorrect API key provided: ***") },
      },
    ]);
    expect(JSON.stringify(refused.body)).not.toContain("sk-wrong");
    for (const how of ["hangs", "redirects", "html", "fails", "limits"] as const) {
      openAi.misbehave(how);
      const answer = await configure("deepseek");
      expect([how, answer.status, answer.body.code]).toEqual([how, 422, "provider-validation-failed"]);
      expect(JSON.stringify(answer.body)).not.toContain("stack trace");
    }
    expect((await list()).configs).toEqual([]);
  });

  it("takes exactly the credentials of the catalogue", async () => {
    for (const credentials of [
      { key: KEY },
      { api_key: KEY, endpoint: "https://x.example" },
      { __proto__x: "1", api_key: KEY },
    ]) {
      const answer = await configure("anthropic", { credentials });
      expect([answer.status, answer.body]).toMatchObject([
        422,
        {
          code: "invalid-credential-fields",
          details: { provider_id: "anthropic", expected_keys: ["api_key"] },
        },
      ]);
    }
    expect((await configure("anthropic", { credentials: {} })).body.code).toBe("validation-error");
    expect((await configure("anthropic", { credentials: { api_key: "" } })).body.code).toBe("validation-error");
    expect((await configure("anthropic", { credentials: { api_key: "a\nb" } })).body.code).toBe("validation-error");
    const large = await configure("anthropic", { credentials: { api_key: "x".repeat(65_537) } });
    expect([large.status, large.body]).toMatchObject([
      400,
      { code: "value-too-large", details: { max_bytes: 65_536 } },
    ]);
    for (const id of ["amazon-bedrock", "no-such-one"]) {
      expect((await configure(id)).body).toMatchObject({
        code: "provider-unsupported",
        details: { provider_id: id },
      });
    }
    expect(anthropic.received).toEqual([]);
  });

  it("takes a model that the catalogue does not know when the provider answers with it", async () => {
    expect((await configure("deepseek", { default_model: "model-b" })).body.default_model).toBe("model-b");
    const unknown = await configure("deepseek", { default_model: "model-z" });
    expect([unknown.status, unknown.body]).toMatchObject([
      422,
      { code: "invalid-agent-model", details: { harness: null, provider_id: "deepseek", model: "model-z" } },
    ]);
    const change = (model: string | null) =>
      call("PUT", "/model-providers/deepseek/default-model", { default_model: model });
    expect((await change("model-z")).body.code).toBe("invalid-agent-model");
    expect((await change("model-a")).body.default_model).toBe("model-a");
    expect((await change(null)).body.default_model).toBeNull();
    expect((await call("PUT", "/providers/openai/default-model", { default_model: "model-a" })).body).toMatchObject({
      code: "not-found",
      details: { provider_id: "openai" },
    });
  });

  it("does the same on every path that was published for it", async () => {
    const published = await call("PUT", "", {
      provider_id: "deepseek",
      credentials: { api_key: KEY },
      default_model: "model-a",
      set_as_default: true,
    });
    expect(published.status).toBe(200);
    expect(
      (await call("PUT", "/providers/openai", { credentials: { api_key: KEY }, default_model: "model-a" })).status,
    ).toBe(200);
    const lists = await Promise.all(["", "/model-providers", "/providers"].map((path) => call("GET", path)));
    expect(lists[1]?.body).toEqual(lists[0]?.body);
    expect(lists[2]?.body).toEqual(lists[0]?.body);
    expect(lists[0]?.body.configs.map((config: { provider_id: string }) => config.provider_id)).toEqual([
      "deepseek",
      "openai",
    ]);
    expect(lists[0]?.body).toMatchObject({ default_provider_id: "deepseek", default_harness_id: null });

    expect((await call("POST", "/openai/default")).body).toEqual({ default_provider_id: "openai" });
    expect((await call("POST", "/deepseek/default", {})).body).toEqual({ default_provider_id: "deepseek" });
    for (const path of ["/default-model-provider", "/default-provider"]) {
      expect((await call("PUT", path, { provider_id: "openai" })).body).toEqual({ default_provider_id: "openai" });
    }
    const missing = await call("POST", "/anthropic/default");
    expect([missing.status, missing.body]).toMatchObject([
      422,
      { code: "provider-not-configured", details: { provider_id: "anthropic" } },
    ]);
    expect((await call("PUT", "/default-harness", { harness_id: "claude" })).body).toEqual({
      default_harness_id: "claude",
    });
    expect((await call("PUT", "/default-harness", { harness_id: "other" })).status).toBe(400);

    expect((await call("DELETE", "/model-providers/openai")).status).toBe(204);
    expect((await call("DELETE", "/providers/openai")).body).toMatchObject({
      code: "not-found",
      details: { provider_id: "openai" },
    });
    expect(await list()).toMatchObject({ default_provider_id: null, default_harness_id: "claude" });
  });

  it("does not make the first provider the default by itself, and replaces a former configuration in place", async () => {
    const first = (await configure("deepseek")).body;
    expect((await list()).default_provider_id).toBeNull();
    const again = (await configure("deepseek", { default_model: "model-b" })).body;
    expect(again.created_at).toBe(first.created_at);
    expect((await list()).configs).toEqual([again]);
  });

  it("is changed by admins alone, and what was changed stands in the audit log without a secret", async () => {
    for (const user of [users.maintainer, users.viewer, users.stranger]) {
      for (const [method, path, body] of [
        ["PUT", "", { provider_id: "deepseek", credentials: { api_key: KEY } }],
        ["POST", "/deepseek/default", undefined],
        ["DELETE", "/providers/deepseek", undefined],
        ["POST", "/test", { provider_id: "deepseek", credentials: { api_key: KEY } }],
        ["POST", "/custom-model-providers/discover-models", { api: "openai-completions", base_url: openAi.url }],
      ] as const) {
        expect([path, (await call(method, path, body, user)).status]).toEqual([path, 403]);
      }
    }
    expect(openAi.received).toEqual([]);
    expect((await call("GET", "", undefined, users.stranger)).status).toBe(403);
    await configure("deepseek", { set_as_default: true });
    await call("POST", "/test", { provider_id: "deepseek" });
    const log = await store.read((tx) => tx.all<{ action: string }>("select * from audit_events order by id"));
    expect(log.map(({ action }) => action)).toEqual(["agent_provider.configured", "agent_provider.tested"]);
    expect(JSON.stringify(log)).not.toContain(KEY);
  });

  describe("of a workspace's own", () => {
    it("are added without a call, shown without secrets and changed in part", async () => {
      const headers = [
        { name: "X-Team", value: "platform" },
        { name: "X-Gateway-Key", value: "gateway-secret", secret: true },
      ];
      const made = await custom({ headers, default_model: "model-a" });
      expect(made).toMatchObject({
        status: 200,
        body: {
          kind: "custom",
          provider_id: "in-house",
          headers: [{ name: "x-team", value: "platform" }],
          secret_header_names: ["x-gateway-key"],
          models: [
            {
              id: "model-a",
              label: "Model A",
              context_window: 128_000,
              max_output_tokens: 16_384,
              input_image: false,
              reasoning: false,
            },
          ],
          default_model: "model-a",
        },
      });
      expect(openAi.received).toEqual([]);
      const change = (body: unknown) => call("PUT", "/custom-model-providers/in-house", body);
      const renamed = await change({ display_name: "Ours" });
      expect(renamed.body).toEqual({ ...made.body, display_name: "Ours", updated_at: renamed.body.updated_at });
      const kept = await change({ headers: [{ name: "x-gateway-key", secret: true, keep: true }] });
      expect(kept.body).toMatchObject({ headers: [], secret_header_names: ["x-gateway-key"] });
      await call("POST", "/test", { provider_id: "in-house" });
      expect(openAi.received[0]?.headers).toMatchObject({
        "x-gateway-key": "gateway-secret",
        authorization: `Bearer ${KEY}`,
      });

      const invalid = await change({ headers: [{ name: "x-other", secret: true, keep: true }] });
      expect([invalid.status, invalid.body]).toMatchObject([
        422,
        { code: "invalid-header-keep", details: { provider_id: "in-house", name: "x-other" } },
      ]);
      expect((await change({ default_model: "model-b" })).body.code).toBe("invalid-agent-model");
      expect((await change({ models: [{ id: "model-b", label: "B" }] })).body.code).toBe("invalid-agent-model");
      expect((await change({ headers: [{ name: "host", value: "x" }] })).body.code).toBe("validation-error");
      const rows = await store.read((tx) => tx.all("select * from agent_providers"));
      expect(JSON.stringify([rows, renamed.body, kept.body])).not.toMatch(/gateway-secret|sk-test/);
    });

    it("do not send stored secrets to another address", async () => {
      await custom();
      const moved = { base_url: `${anthropic.url}/v1` };
      for (const answer of [
        await call("PUT", "/custom-model-providers/in-house", moved),
        await call("POST", "/custom-model-providers/in-house/discover-models", moved),
      ]) {
        expect([answer.status, answer.body]).toMatchObject([
          422,
          { code: "stored-secret-base-url-changed", details: { provider_id: "in-house" } },
        ]);
      }
      expect(anthropic.received).toEqual([]);
      const both = { ...moved, api: "anthropic-messages", api_key: KEY };
      expect((await call("PUT", "/custom-model-providers/in-house", both)).status).toBe(200);
      expect((await call("POST", "/test", { provider_id: "in-house" })).body).toMatchObject({ ok: true });
    });

    it("have slugs of their own", async () => {
      await custom();
      for (const slug of ["in-house", "anthropic", "amazon-bedrock"]) {
        expect(await custom({ slug })).toMatchObject({
          status: 409,
          body: { code: "slug-collision", details: { provider_id: slug } },
        });
      }
      expect((await custom({ slug: "A" })).status).toBe(400);
      expect((await call("PUT", "/custom-model-providers/other", {})).body.code).toBe("not-found");
      expect((await call("POST", "/in-house/default")).body).toEqual({ default_provider_id: "in-house" });
      expect((await call("DELETE", "/model-providers/in-house")).status).toBe(204);
      expect((await custom()).status).toBe(200);
    });

    it("tell which models they have, saved or not", async () => {
      const endpoint = { api: "openai-completions", base_url: `${openAi.url}/v1/`, api_key: KEY };
      const found = {
        models: [
          { id: "model-a", label: "model-a" },
          { id: "model-b", label: "model-b" },
        ],
      };
      expect((await call("POST", "/custom-model-providers/discover-models", endpoint)).body).toEqual(found);
      await custom();
      expect((await call("POST", "/custom-model-providers/in-house/discover-models")).body).toEqual(found);
      const wrong = await call("POST", "/custom-model-providers/in-house/discover-models", { api_key: "wrong-key" });
      expect([wrong.status, wrong.body.code]).toEqual([422, "provider-validation-failed"]);
      expect(JSON.stringify(wrong.body)).not.toContain("wrong-key");
    });
  });

  describe("tested", () => {
    it("answer with their models, saved or not", async () => {
      await configure("anthropic");
      const models = [
        { id: "model-a", label: "The model-a" },
        { id: "model-b", label: "The model-b" },
      ];
      expect((await call("POST", "/test", { provider_id: "anthropic" })).body).toEqual({
        ok: true,
        model: "model-a",
        models,
        duration_ms: 0,
      });
      const unsaved = { provider_id: "google", credentials: { api_key: KEY }, model: "model-b" };
      expect((await call("POST", "/test", unsaved)).body).toMatchObject({ ok: true, model: "model-b", models });
      const endpoint = { api: "anthropic-messages", base_url: anthropic.url, api_key: KEY };
      expect((await call("POST", "/test", endpoint)).body).toMatchObject({ ok: true, model: null, models });
      expect((await call("POST", "/test", { provider_id: "openai" })).body.code).toBe("not-found");
      expect((await list()).configs).toHaveLength(1);
    });

    it("are good without a list of models when the model answers", async () => {
      openAi.misbehave("no-list");
      const unsaved = { provider_id: "deepseek", credentials: { api_key: KEY }, model: "model-b" };
      expect((await call("POST", "/test", unsaved)).body).toMatchObject({
        ok: true,
        models: [{ id: "model-b", label: "model-b" }],
      });
    });

    it.each([
      ["hangs", "timeout"],
      ["redirects", "provider_error"],
      ["html", "malformed_answer"],
      ["fails", "provider_error"],
      ["limits", "rate_limited"],
      ["foreign-json", "provider_error"],
    ] as const)("one that %s is told as %s", async (how, code) => {
      openAi.misbehave(how);
      const { body } = await call("POST", "/test", {
        provider_id: "deepseek",
        credentials: { api_key: KEY },
        model: "model-a",
      });
      expect(body).toMatchObject({ ok: false, error: { code, message: expect.any(String) } });
      expect(JSON.stringify(body)).not.toMatch(/inside|hunter2/);
    });

    it("say what is wrong with key and model", async () => {
      const test = (fields: Record<string, unknown>) =>
        call("POST", "/test", { provider_id: "openai", credentials: { api_key: KEY }, ...fields });
      expect((await test({ credentials: { api_key: "sk-wrong" } })).body.error).toEqual({
        code: "credentials_refused",
        message: "the credentials were refused with 401: Incorrect API key provided: ***",
      });
      expect((await test({ model: "model-z" })).body.error.code).toBe("model_unknown");
      const gone = { api: "openai-completions", base_url: NEVER_ASKED.replace(":1", ":1024"), model: "model-a" };
      expect((await call("POST", "/test", gone)).body.error.code).toBe("connection_failed");
    });
  });

  it("never call the inside of the network unless the operator allows it", async () => {
    const guarded = await serve(false);
    const inside = [
      ["http://127.0.0.1:8080/v1", "unencrypted"],
      ["https://127.0.0.1:8080/v1", "private"],
      ["https://[::1]:8080/v1", "private"],
      ["https://169.254.169.254/latest", "private"],
      ["https://10.1.2.3/v1", "private"],
      ["https://localhost:8080/v1", "private"],
      ["https://user:pass@api.example.com/v1", "credentials"],
      ["https://api.example.com:22/v1", "port"],
    ] as const;
    for (const [base_url, reason] of inside) {
      const endpoint = { api: "openai-completions", base_url };
      const models = [{ id: "model-a", label: "A" }];
      for (const answer of [
        await call("POST", "/test", endpoint, users.admin, guarded),
        await call("POST", "/custom-model-providers/discover-models", endpoint, users.admin, guarded),
        await call(
          "POST",
          "/custom-model-providers",
          { slug: "inside", display_name: "x", models, ...endpoint },
          users.admin,
          guarded,
        ),
        await call(
          "PUT",
          "",
          { provider_id: "azure-openai-responses", credentials: { api_key: KEY, endpoint: base_url } },
          users.admin,
          guarded,
        ),
      ]) {
        expect([base_url, answer.status, answer.body]).toMatchObject([
          base_url,
          400,
          { code: "egress-denied", details: { reason, target: new URL(base_url).host } },
        ]);
      }
    }
    // The operator's own address of a provider is his word for it.
    const own = { credentials: { api_key: KEY }, default_model: "model-a" };
    expect((await call("PUT", "/providers/deepseek", own, users.admin, guarded)).status).toBe(200);
    await guarded.close();
  });
});

describe("parseProviderUrls", () => {
  it("reads pairs, and refuses unknown providers and what is no URL", () => {
    expect([...parseProviderUrls(["openai=https://proxy.example/v1?a=b"])]).toEqual([
      ["openai", "https://proxy.example/v1?a=b"],
    ]);
    for (const pair of ["openai", "nobody=https://x.example", "openai=ftp://x.example", "openai="]) {
      expect(() => parseProviderUrls([pair])).toThrow(/SHIPFOX_AGENT_PROVIDER_URLS/);
    }
  });
});
