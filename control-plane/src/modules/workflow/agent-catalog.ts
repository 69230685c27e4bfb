/**
 * What agent steps may name. Thinking levels and tools are the harnesses' own; providers and models are those of the
 * published catalogue. Names that are not literal, or that a workspace may have made itself, are checked when a run starts.
 */
export const HARNESSES = ["pi", "claude"] as const;
export type Harness = (typeof HARNESSES)[number];

export const THINKING_LEVELS = ["off", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

export const THINKING_OF: Readonly<Record<Harness, readonly string[]>> = {
  pi: ["off", "minimal", "low", "medium", "high", "xhigh"],
  claude: ["low", "medium", "high", "xhigh", "max"],
};

export const TOOLS_OF: Readonly<Record<Harness, readonly string[]>> = {
  pi: "read bash edit write grep find ls web_search fetch_content get_search_content".split(" "),
  claude: "Read Bash Edit Write Glob Grep WebFetch WebSearch".split(" "),
};

/** The only provider that the claude harness can call. */
export const CLAUDE_PROVIDER = "anthropic";

/** Of the catalogue, and called by nobody yet: they need cloud identities. */
export const UNSUPPORTED_PROVIDERS: readonly string[] = [
  "amazon-bedrock",
  "google-vertex",
  "openai-codex",
  "github-copilot",
];

export const SUPPORTED_PROVIDERS: readonly string[] =
  `anthropic ant-ling azure-openai-responses openai deepseek nvidia google mistral groq cerebras cloudflare-ai-gateway
  cloudflare-workers-ai xai openrouter vercel-ai-gateway zai zai-coding-cn opencode opencode-go huggingface fireworks
  together kimi-coding minimax minimax-cn moonshotai moonshotai-cn xiaomi xiaomi-token-plan-cn xiaomi-token-plan-ams
  xiaomi-token-plan-sgp qwen-token-plan qwen-token-plan-cn`.split(/\s+/);

const CLAUDE_MODELS = [
  "claude-haiku-4-5",
  "claude-haiku-4-5-20251001",
  "claude-opus-4-1",
  "claude-opus-4-1-20250805",
  "claude-opus-4-5",
  "claude-opus-4-5-20251101",
  "claude-opus-4-6",
  "claude-opus-4-7",
  "claude-opus-4-8",
  "claude-sonnet-4-5",
  "claude-sonnet-4-5-20250929",
  "claude-sonnet-4-6",
];

/** Models by harness and provider where the list is short and known as a whole. */
const MODELS: Readonly<Record<Harness, Readonly<Record<string, readonly string[]>>>> = {
  claude: { anthropic: CLAUDE_MODELS },
  pi: {
    anthropic: [...CLAUDE_MODELS, "claude-fable-5", "claude-sonnet-5"],
    deepseek: ["deepseek-v4-flash", "deepseek-v4-pro"],
    xai: ["grok-4.3", "grok-4.5", "grok-build-0.1"],
  },
};

/** How the models of vendors with long lists are called. */
const MODEL_NAMES: Readonly<Record<string, RegExp>> = {
  openai: /^(?:gpt-|o\d|codex)/,
  google: /^(?:gemini-|gemma-)/,
};

/** The models to choose from; null when any may exist. */
export function knownModels(harness: Harness, provider: string): readonly string[] | null {
  return MODELS[harness][provider] ?? null;
}

/** False when the provider certainly has no such model. */
export function mayHaveModel(harness: Harness, provider: string, model: string): boolean {
  return knownModels(harness, provider)?.includes(model) ?? MODEL_NAMES[provider]?.test(model) ?? true;
}
