import { expect, it } from "vitest";
import { numberPlaceholders } from "./postgres-text.ts";

it.each([
  ["select 1", "select 1"],
  ["update a set b = ?, c = ? where d = ?", "update a set b = $1, c = $2 where d = $3"],
  ["select '?', 'it''s ?', ?", "select '?', 'it''s ?', $1"],
  ['select "a?b", "x""?" from t where y=?', 'select "a?b", "x""?" from t where y=$1'],
  ["select ? -- why?\n, ?", "select $1 -- why?\n, $2"],
  ["select /* ?\n? */ ?", "select /* ?\n? */ $1"],
])("numbers the placeholders of %s and nothing else", (sql, expected) => {
  expect(numberPlaceholders(sql)).toBe(expected);
  expect(numberPlaceholders(sql)).toBe(expected);
});
