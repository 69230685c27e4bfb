import pc from "picocolors";

export type Colors = ReturnType<typeof pc.createColors>;

/** The streams and the environment of one invocation; tests hand in their own. */
export interface TerminalStreams {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
  env: Record<string, string | undefined>;
}

export interface Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stderr: NodeJS.WriteStream;
  /** A person can answer questions: stdin and stderr are terminals. */
  readonly interactive: boolean;
  /** Width to fit tables into; Infinity when stdout is not a terminal. */
  readonly columns: number;
  /** stdout, when it is a terminal on which a view can be drawn again and again; null in a pipe and on a dumb terminal. */
  readonly screen: NodeJS.WriteStream | null;
  readonly colors: Colors;
  readonly errorColors: Colors;
  /** Writes to stdout and waits while the reader is behind. */
  write(text: string | Uint8Array): Promise<void>;
  /** One line, or several, on stdout. */
  print(text: string): Promise<void>;
  /** One line on stderr: progress, hints and errors, never data. */
  note(text: string): void;
}

export function openTerminal(streams: TerminalStreams): Terminal {
  const { stdin, stdout, stderr, env } = streams;
  const write = async (text: string | Uint8Array) => {
    if (!stdout.write(text)) await new Promise<void>((resolve) => stdout.once("drain", resolve));
  };
  return {
    stdin,
    stderr,
    interactive: stdin.isTTY === true && stderr.isTTY === true,
    // A terminal that does not tell its width says 0.
    columns: (stdout.isTTY && stdout.columns) || Number.POSITIVE_INFINITY,
    screen: stdout.isTTY && stdout.columns && stdout.rows && env.TERM !== "dumb" ? stdout : null,
    colors: pc.createColors(wantsColor(stdout, env)),
    errorColors: pc.createColors(wantsColor(stderr, env)),
    write,
    print: (text) => write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
  };
}

/** Sources: no-color.org (any non-empty NO_COLOR) and the FORCE_COLOR habit of Node tools. */
export function wantsColor(stream: { isTTY?: boolean }, env: Record<string, string | undefined>): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== "0") return true;
  return stream.isTTY === true && env.TERM !== "dumb";
}
