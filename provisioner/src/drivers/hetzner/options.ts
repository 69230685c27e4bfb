import { z } from "zod";
import { LOOPBACK_NAMES } from "../loopback.ts";

const MAX_LOCATIONS = 20;
const MAX_REFERENCES = 50;
const MAX_LABELS = 32;
const MAX_SELECTOR_CHARS = 1_000;
const MAX_PATH_CHARS = 4_096;
const MAX_NAME_CHARS = 253;
/** As the API takes them: up to 63 characters that begin and end with a letter or a digit, or none. */
export const LABEL_VALUE = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;

/** The token goes over it. */
const endpoint = z.string().refine((text) => {
  const url = URL.parse(text);
  if (url === null || url.username !== "" || url.search !== "" || url.hash !== "") return false;
  return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK_NAMES.has(url.hostname));
}, "expected an https address; http is for loopback addresses alone");

const name = z
  .string()
  .max(MAX_NAME_CHARS)
  .regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, "expected a name of printable ASCII");
const typeName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected a name such as cx23 or fsn1");
/** A number is an id, a text is a name. */
const reference = z.union([z.int().min(1), name], { error: "expected a name, or an id as a number" });
export type Reference = z.infer<typeof reference>;

function distinct<Item extends z.ZodType>(item: Item, max: number) {
  return z
    .array(item)
    .max(max)
    .refine((items) => new Set(items).size === items.length, "one is there twice");
}

const references = distinct(reference, MAX_REFERENCES).default([]);

export const hetznerSettingsSchema = z.strictObject({
  /** A file with an API token of the project, which may read and write; a relative path starts at the folder of the templates file. */
  token_file: z.string().min(1).max(MAX_PATH_CHARS),
  endpoint: endpoint.default("https://api.hetzner.cloud/v1"),
});
export type HetznerSettings = z.infer<typeof hetznerSettingsSchema>;

export const hetznerMachineSchema = z
  .strictObject({
    server_type: typeName,
    /** A name or an id. It brings the runner and cloud-init. */
    image: reference.optional(),
    /** Takes the newest snapshot with these labels that fits the server type. */
    image_selector: z.string().min(1).max(MAX_SELECTOR_CHARS).optional(),
    /** Tried in this order while there is no room; without any, Hetzner chooses. */
    locations: distinct(typeName, MAX_LOCATIONS).default([]),
    ssh_keys: references,
    networks: references,
    firewalls: references,
    ipv4: z.boolean().default(true),
    ipv6: z.boolean().default(true),
    /** Further labels of each server, for people. */
    labels: z
      .record(
        z
          .string()
          .regex(
            /^(?!io\.shipfox\.|hetzner\.cloud\/)(?:[a-z0-9][a-z0-9.-]{0,252}\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
            "expected a label that is neither io.shipfox's nor hetzner.cloud's",
          ),
        z.string().regex(LABEL_VALUE, "expected up to 63 letters, digits, dots, dashes and underscores"),
      )
      .refine((labels) => Object.keys(labels).length <= MAX_LABELS, `expected at most ${MAX_LABELS} labels`)
      .default({}),
  })
  .refine(({ image, image_selector: selector }) => (image === undefined) !== (selector === undefined), {
    error: "expected either image or image_selector",
    path: ["image"],
  })
  .refine(({ ipv4, ipv6, networks }) => ipv4 || ipv6 || networks.length > 0, {
    error: "a server without ipv4 and ipv6 needs networks",
    path: ["networks"],
  });
export type HetznerMachine = z.infer<typeof hetznerMachineSchema>;
