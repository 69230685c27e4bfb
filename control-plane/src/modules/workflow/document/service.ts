import { MAX_COMMAND_CHARACTERS, MAX_HEALTH_RETRIES, MAX_SERVICE_PORTS, MAX_SERVICES } from "../limits.ts";
import { shorten } from "../shorten.ts";
import { type Check, check, entries, isMapping, list, object, refuseType, wholeNumber } from "./check.ts";
import { literalEnv } from "./env.ts";
import { image } from "./image.ts";
import { duration, unevaluated } from "./text.ts";

const MAX_PORT = 65_535;
const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** Names that mean something else inside a job's network. */
const TAKEN_NAMES = new Set(["localhost", "job"]);

const serviceName = check({ pattern: DNS_LABEL.source, not: { enum: [...TAKEN_NAMES] } }, (name, place) => {
  const text = String(name);
  if (TAKEN_NAMES.has(text)) {
    const message = `a service cannot be called \`${text}\`, which already is a host name in the job's network`;
    place.refuse("invalid-value", message, { at: "key" });
  } else if (!DNS_LABEL.test(text)) {
    const rule = "small letters, digits and `-`, at most 63, with a letter or digit first and last";
    const message = `\`${shorten(text)}\` is not a name for a service, which is a host name: use ${rule}`;
    place.refuse("invalid-value", message, { at: "key" });
  }
});

const port = wholeNumber(1, MAX_PORT);

const ports = check({ type: "array", minItems: 1, maxItems: MAX_SERVICE_PORTS, items: port.schema }, (value, place) => {
  if (!Array.isArray(value)) return refuseType(value, place, "a list of ports, such as `[5432]`");
  if (value.length === 0 || value.length > MAX_SERVICE_PORTS) {
    return place.refuse("invalid-value", `a service may have 1 to ${MAX_SERVICE_PORTS} ports`);
  }
  for (const [index, item] of value.entries()) {
    if (typeof item === "string" && item.includes(":")) {
      const message =
        "ports are not mapped: write the port the service listens on; steps reach it at the service's name";
      place.child(index).refuse("invalid-value", message);
    } else port(item, place.child(index));
  }
});

const checkImage = image("the image of a service");

const health = object({
  what: "a health check",
  keys: {
    cmd: words("the command of a health check", "shell"),
    interval: duration("the interval of a health check"),
    timeout: duration("the timeout of a health check"),
    retries: wholeNumber(1, MAX_HEALTH_RETRIES),
    start_period: duration("the start period of a health check"),
  },
  required: ["cmd"],
});

const mapping = object({
  what: "a service",
  keys: { image: checkImage, env: literalEnv, command: words("the command of a service", "program"), ports, health },
  required: ["image"],
});

const service = check({ anyOf: [checkImage.schema, mapping.schema] }, (value, place) =>
  isMapping(value) ? mapping(value, place) : checkImage(value, place),
);

const eachService = entries("services", serviceName, service);

/** What runs beside the steps of a job, by the host name under which the steps reach it. */
export const services = check({ allOf: [eachService.schema], maxProperties: MAX_SERVICES }, (value, place) => {
  const count = isMapping(value) ? Object.keys(value).length : 0;
  if (count <= MAX_SERVICES) return eachService(value, place);
  place.refuse("invalid-value", `${count} services are too many; a job may have ${MAX_SERVICES}`, { at: "key" });
});

/**
 * A list of words, or one text: shell text, or a program without arguments. Text with blanks for a program would be taken
 * for one strange file name, so a list is asked for.
 */
function words(what: string, textIs: "shell" | "program"): Check {
  const checkText = unevaluated(what);
  const checkList = list("words", checkText);
  return check({ anyOf: [checkText.schema, checkList.schema] }, (value, place) => {
    if (Array.isArray(value)) checkList(value, place);
    else checkText(value, place);
    const characters = JSON.stringify(value)?.length ?? 0;
    if (characters > MAX_COMMAND_CHARACTERS) {
      place.refuse("invalid-value", `${what} may take ${MAX_COMMAND_CHARACTERS} characters as JSON`);
    } else if (textIs === "program" && typeof value === "string" && /\s/.test(value.trim())) {
      const suggestion = JSON.stringify(value.trim().split(/\s+/));
      place.refuse("invalid-value", `${what} with arguments is a list: ${shorten(suggestion)}`, { suggestion });
    }
  });
}
