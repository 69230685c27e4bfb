/** One value for each moment of the chart. */
export interface Series {
  readonly name: string;
  /** Of a light and of a dark page, `#rrggbb`. */
  readonly colour: { readonly light: string; readonly dark: string };
  readonly values: readonly number[];
}

export interface Chart {
  readonly title: string;
  /** For those who do not see it. */
  readonly description: string;
  /** Seconds of each value, rising. */
  readonly seconds: readonly number[];
  /** Drawn on top of each other, the first one at the bottom. */
  readonly areas: readonly Series[];
  readonly line: Series;
  readonly axes: { readonly x: string; readonly y: string };
}

const SIZE = { width: 760, height: 360 };
const PLOT = { left: 56, top: 44, right: 744, bottom: 308 };
/** A point for every second pixel is as fine as the eye sees, and bounds the size of the file. */
const MAX_POINTS = 344;
const TICKS = 5;
const LEGEND_STEP = 130;

/** A chart of stacked areas and a line as SVG, of the same bytes for the same values, at most some 40 kB. */
export function renderAreaChart(chart: Chart): string {
  const columns = thinned(chart.seconds.length);
  const seconds = columns.map((column) => chart.seconds[column] ?? 0);
  const valuesOf = ({ values }: Series) => columns.map((column) => values[column] ?? 0);
  const stacked: number[][] = [seconds.map(() => 0)];
  for (const area of chart.areas) {
    const below = stacked.at(-1) ?? [];
    stacked.push(valuesOf(area).map((value, index) => value + (below[index] ?? 0)));
  }
  const line = valuesOf(chart.line);
  const [xs, ys] = [scaleOf(seconds), scaleOf([...line, ...(stacked.at(-1) ?? [])])];
  const x = (value: number) => PLOT.left + (value / xs.most) * (PLOT.right - PLOT.left);
  const y = (value: number) => PLOT.bottom - (value / ys.most) * (PLOT.bottom - PLOT.top);
  const points = (values: readonly number[]) =>
    values.map((value, index) => `${short(x(seconds[index] ?? 0))},${short(y(value))}`);
  const areas = chart.areas.map((_, index) => {
    const [below = [], above = []] = [stacked[index], stacked[index + 1]];
    return `<polygon class="s${index}" points="${[...points(above), ...points(below).reverse()].join(" ")}"/>`;
  });
  const legend = [...chart.areas, chart.line].map(({ name }, index) => {
    const left = PLOT.left + index * LEGEND_STEP;
    const isLine = index === chart.areas.length;
    const mark = isLine
      ? `<path class="line" d="M${left} 30h14"/>`
      : `<rect class="s${index}" x="${left}" y="24" width="14" height="12"/>`;
    return `${mark}<text x="${left + 20}" y="34">${escaped(name)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img" aria-labelledby="title description">
<title id="title">${escaped(chart.title)}</title>
<desc id="description">${escaped(chart.description)}</desc>
<style>
${styleOf(chart)}
</style>
${ys.ticks.map((tick) => `<path class="grid" d="M${PLOT.left} ${short(y(tick))}H${PLOT.right}"/><text class="y" x="${PLOT.left - 8}" y="${short(y(tick) + 4)}">${tick}</text>`).join("\n")}
${xs.ticks.map((tick) => `<text class="x" x="${short(x(tick))}" y="${PLOT.bottom + 18}">${tick}</text>`).join("\n")}
${areas.join("\n")}
<polyline class="line" points="${points(line).join(" ")}"/>
${legend.join("\n")}
<text class="x" x="${(PLOT.left + PLOT.right) / 2}" y="${PLOT.bottom + 40}">${escaped(chart.axes.x)}</text>
<text class="x" transform="translate(14 ${(PLOT.top + PLOT.bottom) / 2}) rotate(-90)">${escaped(chart.axes.y)}</text>
</svg>
`;
}

/** The page behind it may be light or dark: only what is drawn has a colour. */
function styleOf({ areas, line }: Chart): string {
  const rules = (theme: "light" | "dark", text: string) =>
    [
      `text { fill: ${text}; }`,
      `.grid { stroke: ${text}; }`,
      ...areas.map(({ colour }, index) => `.s${index} { fill: ${colour[theme]}; }`),
      `.line { stroke: ${line.colour[theme]}; }`,
    ].join("\n");
  return `text { font: 12px system-ui, sans-serif; }
.x { text-anchor: middle; }
.y { text-anchor: end; }
.grid { stroke-opacity: 0.2; }
.line { fill: none; stroke-width: 2; }
${rules("light", "#1f2328")}
@media (prefers-color-scheme: dark) {
${rules("dark", "#e6edf3")}
}`;
}

/** Indexes of the values that are drawn, the first and the last one among them. */
function thinned(count: number): number[] {
  const points = Math.min(count, MAX_POINTS);
  return Array.from({ length: points }, (_, index) => Math.round((index * (count - 1)) / Math.max(1, points - 1)));
}

/** Round numbers from 0 up to at least the largest value. */
function scaleOf(values: readonly number[]): { most: number; ticks: number[] } {
  const largest = Math.max(1, ...values);
  const magnitude = 10 ** Math.floor(Math.log10(largest / TICKS));
  const step = Math.max(
    1,
    [1, 2, 5, 10].map((factor) => factor * magnitude).find((size) => size * TICKS >= largest) ?? 1,
  );
  const count = Math.ceil(largest / step);
  return { most: count * step, ticks: Array.from({ length: count + 1 }, (_, index) => index * step) };
}

function short(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
