import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { usageError } from "./cli-error.ts";

const SCP_FORM = /^(?:([\w.-]+)@)?([\w.-]+):(?!\/\/)(.+)$/;
const CLONE_PROTOCOLS = new Set(["https:", "http:", "ssh:", "file:"]);

export interface RepositoryUrl {
  /** What the control plane clones, without a password in it. */
  cloneUrl: string;
  /** Host, or "local files" for file URLs: the name of the connection that serves it. */
  host: string;
  /** Scheme, host and port; null for file URLs. */
  origin: string | null;
  /** Last part of the path without `.git`: the default name of the project. */
  name: string;
}

/** Understands URLs, `git@host:owner/repo.git` and paths of local repositories. Throws a usage error on anything else. */
export function parseRepository(text: string, cwd: string): RepositoryUrl {
  const url = toUrl(text, cwd);
  if (!url || !CLONE_PROTOCOLS.has(url.protocol)) {
    throw usageError(
      `"${text}" is neither a git URL nor a folder.`,
      "shipfox projects create --repo https://github.com/owner/repo.git",
    );
  }
  if (url.password !== "") {
    throw usageError(
      "A password inside the URL would be stored in the project.",
      "shipfox projects create --repo <url without password> --git-token-stdin < token.txt",
    );
  }
  const isFile = url.protocol === "file:";
  const lastPart = decodeURIComponent(url.pathname).replace(/\/+$/, "").split("/").at(-1) ?? "";
  return {
    cloneUrl: url.href.replace(/\/+$/, ""),
    host: isFile ? "local files" : url.host,
    origin: isFile ? null : `${url.protocol}//${url.host}`,
    name: lastPart.replace(/\.git$/, "") || "project",
  };
}

function toUrl(text: string, cwd: string): URL | null {
  if (text.includes("://")) return URL.parse(text);
  if (existsSync(resolve(cwd, text))) return pathToFileURL(resolve(cwd, text));
  const scp = SCP_FORM.exec(text);
  return scp ? URL.parse(`ssh://${scp[1] ?? "git"}@${scp[2]}/${scp[3]}`) : null;
}
