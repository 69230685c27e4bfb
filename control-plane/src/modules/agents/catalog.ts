import type { AgentApi, CatalogProvider } from "@shipfox/shared/api/agents";

/** What a built-in provider asks for before it can be called. */
interface CredentialField {
  readonly key: string;
  readonly label: string;
  readonly secret: boolean;
}

/** A provider that the server knows how to call. */
export interface BuiltinProvider {
  readonly id: string;
  readonly label: string;
  readonly defaultModel: string;
  readonly api: AgentApi;
  /** `{name}` stands for a credential that is no secret. */
  readonly baseUrl: string;
  readonly fields: readonly CredentialField[];
  /** The header of the API key, where it is not the one of the API. */
  readonly keyHeader?: { readonly name: string; readonly scheme: "Bearer" | null };
}

const API_KEY: CredentialField = { key: "api_key", label: "API key", secret: true };
const API_TOKEN: CredentialField = { key: "api_key", label: "API token", secret: true };
const ACCOUNT: CredentialField = { key: "account_id", label: "Account ID", secret: false };

function openAi(id: string, label: string, defaultModel: string, baseUrl: string): BuiltinProvider {
  return { id, label, defaultModel, baseUrl, api: "openai-completions", fields: [API_KEY] };
}

function anthropic(id: string, label: string, defaultModel: string, baseUrl: string): BuiltinProvider {
  return { id, label, defaultModel, baseUrl, api: "anthropic-messages", fields: [API_KEY] };
}

/** In the order in which the published catalogue shows them. Base URLs: the vendors' documentation. */
const SUPPORTED: readonly BuiltinProvider[] = [
  anthropic("anthropic", "Anthropic", "claude-opus-4-8", "https://api.anthropic.com"),
  openAi("ant-ling", "Ant Ling", "Ring-2.6-1T", "https://api.ant-ling.com/v1"),
  {
    id: "azure-openai-responses",
    label: "Azure OpenAI",
    defaultModel: "gpt-5.5-pro",
    api: "openai-responses",
    baseUrl: "{endpoint}/openai/v1",
    fields: [{ key: "endpoint", label: "Endpoint", secret: false }, API_KEY],
    keyHeader: { name: "api-key", scheme: null },
  },
  { ...openAi("openai", "OpenAI", "gpt-5.5-pro", "https://api.openai.com/v1"), api: "openai-responses" },
  openAi("deepseek", "DeepSeek", "deepseek-v4-pro", "https://api.deepseek.com"),
  openAi("nvidia", "NVIDIA", "nvidia/nemotron-3-ultra-550b-a55b", "https://integrate.api.nvidia.com/v1"),
  {
    id: "google",
    label: "Google AI Studio",
    defaultModel: "gemini-3.1-pro-preview",
    api: "google-generative-ai",
    baseUrl: "https://generativelanguage.googleapis.com/v1beta",
    fields: [API_KEY],
  },
  openAi("mistral", "Mistral", "mistral-large-latest", "https://api.mistral.ai/v1"),
  openAi("groq", "Groq", "openai/gpt-oss-120b", "https://api.groq.com/openai/v1"),
  openAi("cerebras", "Cerebras", "gpt-oss-120b", "https://api.cerebras.ai/v1"),
  {
    id: "cloudflare-ai-gateway",
    label: "Cloudflare AI Gateway",
    defaultModel: "claude-opus-4-8",
    api: "anthropic-messages",
    baseUrl: "https://gateway.ai.cloudflare.com/v1/{account_id}/{gateway_id}/anthropic",
    fields: [API_TOKEN, ACCOUNT, { key: "gateway_id", label: "Gateway ID", secret: false }],
    keyHeader: { name: "cf-aig-authorization", scheme: "Bearer" },
  },
  {
    id: "cloudflare-workers-ai",
    label: "Cloudflare Workers AI",
    defaultModel: "@cf/moonshotai/kimi-k2.7-code",
    api: "openai-completions",
    baseUrl: "https://api.cloudflare.com/client/v4/accounts/{account_id}/ai/v1",
    fields: [API_TOKEN, ACCOUNT],
  },
  openAi("xai", "xAI", "grok-4.3", "https://api.x.ai/v1"),
  openAi("openrouter", "OpenRouter", "anthropic/claude-opus-4.8", "https://openrouter.ai/api/v1"),
  openAi("vercel-ai-gateway", "Vercel AI Gateway", "anthropic/claude-opus-4.8", "https://ai-gateway.vercel.sh/v1"),
  openAi("zai", "Z.ai", "glm-5.2", "https://api.z.ai/api/paas/v4"),
  openAi("zai-coding-cn", "Z.ai Coding CN", "glm-5.2", "https://open.bigmodel.cn/api/coding/paas/v4"),
  anthropic("opencode", "OpenCode", "claude-opus-4-8", "https://opencode.ai/zen"),
  openAi("opencode-go", "OpenCode Go", "kimi-k2.7-code", "https://opencode.ai/zen/go/v1"),
  openAi("huggingface", "Hugging Face", "deepseek-ai/DeepSeek-V4-Pro", "https://router.huggingface.co/v1"),
  openAi(
    "fireworks",
    "Fireworks",
    "accounts/fireworks/models/deepseek-v4-pro",
    "https://api.fireworks.ai/inference/v1",
  ),
  openAi("together", "Together AI", "deepseek-ai/DeepSeek-V4-Pro", "https://api.together.ai/v1"),
  anthropic("kimi-coding", "Kimi Coding", "kimi-for-coding", "https://api.kimi.com/coding"),
  openAi(
    "qwen-token-plan",
    "Qwen Token Plan",
    "qwen3.8-max-preview",
    "https://token-plan.ap-southeast-1.maas.aliyuncs.com/compatible-mode/v1",
  ),
  openAi(
    "qwen-token-plan-cn",
    "Qwen Token Plan CN",
    "qwen3.8-max-preview",
    "https://token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
  ),
  anthropic("minimax", "MiniMax", "MiniMax-M3", "https://api.minimax.io/anthropic"),
  anthropic("minimax-cn", "MiniMax CN", "MiniMax-M3", "https://api.minimaxi.com/anthropic"),
  openAi("moonshotai", "Moonshot AI", "kimi-k2.7-code", "https://api.moonshot.ai/v1"),
  openAi("moonshotai-cn", "Moonshot AI CN", "kimi-k2.7-code", "https://api.moonshot.cn/v1"),
  openAi("xiaomi", "Xiaomi", "mimo-v2.5-pro", "https://api.xiaomimimo.com/v1"),
  openAi("xiaomi-token-plan-cn", "Xiaomi Token Plan CN", "mimo-v2.5-pro", "https://token-plan-cn.xiaomimimo.com/v1"),
  openAi("xiaomi-token-plan-ams", "Xiaomi Token Plan AMS", "mimo-v2.5-pro", "https://token-plan-ams.xiaomimimo.com/v1"),
  openAi("xiaomi-token-plan-sgp", "Xiaomi Token Plan SGP", "mimo-v2.5-pro", "https://token-plan-sgp.xiaomimimo.com/v1"),
];

const UNSUPPORTED: readonly (readonly [id: string, label: string, reason: string])[] = [
  ["amazon-bedrock", "Amazon Bedrock", "needs AWS cloud credentials"],
  ["google-vertex", "Google Vertex AI", "needs Google Cloud credentials"],
  ["openai-codex", "OpenAI Codex", "needs a ChatGPT subscription, signed in through OAuth"],
  ["github-copilot", "GitHub Copilot", "needs a sign-in through OAuth"],
];

const byId = new Map(SUPPORTED.map((provider) => [provider.id, provider]));

export function findBuiltin(id: string): BuiltinProvider | undefined {
  return byId.get(id);
}

/** Also of those that are not supported: no custom provider may look like one. */
export function isBuiltinId(id: string): boolean {
  return byId.has(id) || UNSUPPORTED.some(([unsupported]) => unsupported === id);
}

/** The catalogue as users see it. Its lists of models name the default one; a configured provider is asked for the others. */
export function presentCatalog(): CatalogProvider[] {
  return [
    ...SUPPORTED.map(
      (provider): CatalogProvider => ({
        id: provider.id,
        label: provider.label,
        support_status: "supported",
        default_model: provider.defaultModel,
        credential_fields: [...provider.fields],
        unsupported_reason: null,
        models: [{ id: provider.defaultModel, label: provider.defaultModel }],
      }),
    ),
    ...UNSUPPORTED.map(
      ([id, label, reason]): CatalogProvider => ({
        id,
        label,
        support_status: "unsupported",
        default_model: null,
        credential_fields: [],
        unsupported_reason: reason,
        models: [],
      }),
    ),
  ];
}
