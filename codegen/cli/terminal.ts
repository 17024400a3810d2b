import pc from "picocolors";

export type Colors = ReturnType<typeof pc.createColors>;
export type ColorMode = "auto" | "always" | "never";
export const colorModes: readonly ColorMode[] = ["auto", "always", "never"];

/** What a stream of the process offers. */
interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

interface Environment {
  readonly [name: string]: string | undefined;
}

/** Whether to colour what goes to a stream: the option counts before the environment, and that before what the stream is. */
export function wantsColor(mode: ColorMode, stream: Stream, env: Environment): boolean {
  if (mode !== "auto") return mode === "always";
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined) return !["0", "false"].includes(env.FORCE_COLOR);
  return stream.isTTY === true && env.TERM !== "dumb";
}

export interface TerminalOptions {
  readonly color?: ColorMode;
  /** Nothing but errors on stderr. */
  readonly quiet?: boolean;
  /** stdout holds one JSON document. */
  readonly json?: boolean;
  readonly stdout?: Stream;
  readonly stderr?: Stream;
  readonly env?: Environment;
}

/** Where a command writes: data to stdout, everything that is said about it to stderr. */
export interface Terminal {
  readonly json: boolean;
  /** For text on stdout. */
  readonly outColors: Colors;
  /** For text on stderr. */
  readonly colors: Colors;
  /** Columns to wrap text at. */
  readonly width: number;
  /** Data. */
  out(text: string): void;
  /** Chatter: left out where stdout is for machines or quiet is asked for. */
  say(text: string): void;
  /** Diagnostics. */
  error(text: string): void;
  /** What is going on; shown from the second second on. */
  progress(text: string): void;
  /** Removes the line of progress. */
  settle(): void;
}

const patience = 1000;
const plainInterval = 2000;

export function createTerminal(options: TerminalOptions = {}): Terminal {
  const { stdout = process.stdout, stderr = process.stderr, env = process.env } = options;
  const { color = "auto", quiet = false, json = false } = options;
  const animated = stderr.isTTY === true && env.TERM !== "dumb" && !env.CI;
  const began = performance.now();
  let shown = false;
  let lastPlain = Number.NEGATIVE_INFINITY;
  const settle = (): void => {
    if (shown) stderr.write("\r\x1b[2K");
    shown = false;
  };
  const line = (stream: Stream, text: string): void => {
    settle();
    stream.write(text.endsWith("\n") ? text : `${text}\n`);
  };
  const width = Math.max(40, Math.min(stderr.columns ?? stdout.columns ?? 100, 100));
  return {
    json,
    width,
    outColors: pc.createColors(wantsColor(color, stdout, env)),
    colors: pc.createColors(wantsColor(color, stderr, env)),
    out: (text) => line(stdout, text),
    say(text) {
      if (!quiet && !json) line(stderr, text);
    },
    error: (text) => line(stderr, text),
    progress(text) {
      const now = performance.now();
      if (quiet || json || now - began < patience) return;
      if (animated) {
        stderr.write(`\r\x1b[2K${text.slice(0, (stderr.columns ?? 80) - 1)}`);
        shown = true;
      } else if (now - lastPlain >= plainInterval) {
        lastPlain = now;
        line(stderr, text);
      }
    },
    settle,
  };
}
