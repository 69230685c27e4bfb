import { expect, it } from "vitest";
import { isLoopback } from "./loopback.ts";

it.each([
  "http://localhost:16101",
  "http://LOCALHOST.:16101/",
  "https://ci.localhost",
  "http://127.0.0.1",
  "http://127.1:80",
  "http://0x7f000001",
  "http://2130706433",
  "http://0.0.0.0:16101",
  "http://[::1]:16101",
  "http://[0:0:0:0:0:0:0:1]",
  "http://[::]:16101",
  "http://[::ffff:127.0.0.1]",
])("%s is an address of this host alone", (url) => {
  expect(isLoopback(url)).toBe(true);
});

it.each(["https://ci.example.com", "http://10.0.0.1", "http://localhost.example.com", "http://[::2]", "localhost", ""])(
  "%s is not",
  (url) => {
    expect(isLoopback(url)).toBe(false);
  },
);
