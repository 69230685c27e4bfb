import { expect, test } from "vitest";
import { Histogram } from "./histogram.ts";
import { renderMetricsText } from "./metrics-text.ts";

test("a histogram counts a value in every bucket whose bound is not below it", () => {
  const histogram = new Histogram([0.5, 2]);
  for (const value of [0.25, 0.5, 1, 3]) histogram.observe(value);
  const text = renderMetricsText("shipfox", [
    { name: "wait_seconds", type: "histogram", help: "How long.", samples: histogram.samples() },
  ]);
  expect(text).toBe(`# HELP shipfox_wait_seconds How long.
# TYPE shipfox_wait_seconds histogram
shipfox_wait_seconds_bucket{le="0.5"} 2
shipfox_wait_seconds_bucket{le="2"} 3
shipfox_wait_seconds_bucket{le="+Inf"} 4
shipfox_wait_seconds_sum 4.75
shipfox_wait_seconds_count 4
`);
});

test("no text of a label ends its line or its quotes", () => {
  const sample = { labels: { name: 'a"b\\c\nd' }, value: 1 };
  expect(renderMetricsText("shipfox", [{ name: "x", type: "gauge", help: "X.", samples: [sample] }])).toContain(
    String.raw`shipfox_x{name="a\"b\\c\nd"} 1`,
  );
});
