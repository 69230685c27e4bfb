export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge" | "summary" | "histogram";
  readonly help: string;
  /** Value for each set of labels; the values of a label come from a closed list, so that their number is bounded. */
  readonly samples: readonly {
    readonly suffix?: string;
    readonly labels?: Record<string, string>;
    readonly value: number;
  }[];
}

/** The Prometheus text format, version 0.0.4. A metric without samples is left out. */
export function renderMetricsText(prefix: string, metrics: readonly Metric[]): string {
  return `${metrics
    .filter(({ samples }) => samples.length > 0)
    .map((metric) => renderMetric(prefix, metric))
    .join("\n")}\n`;
}

function renderMetric(prefix: string, { name, type, help, samples }: Metric): string {
  const full = `${prefix}_${name}`;
  const lines = samples.map(({ suffix = "", labels = {}, value }) => {
    const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escapeLabel(text)}"`);
    return `${full}${suffix}${pairs.length === 0 ? "" : `{${pairs.join(",")}}`} ${value}`;
  });
  return [`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`, ...lines].join("\n");
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
