import packageJson from "../package.json" with { type: "json" };

/** Version of every part of this release; they are released together. */
export const VERSION: string = packageJson.version;
