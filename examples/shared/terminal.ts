/** What of a stream the terminal helpers look at. */
export interface Stream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Whether to write colour codes: NO_COLOR forbids it, FORCE_COLOR asks for it, else a terminal decides. */
export function wantsColour(stream: Stream, env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  if (env.NO_COLOR) return false;
  if (env.FORCE_COLOR !== undefined) return env.FORCE_COLOR !== "0" && env.FORCE_COLOR !== "false";
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** Shows how far something has come, from 0 to `total`. */
export interface Progress {
  update(done: number, total: number, text: string): void;
  /** Writes a line of its own; the bar goes on below it. */
  note(line: string): void;
  /** Ends the line. Nothing is drawn afterwards. */
  end(): void;
}

/** A bar that is redrawn in place on a terminal; elsewhere a line at every quarter. A smaller share than before begins anew. */
export function progressBar(stream: Stream, width = 30): Progress {
  const terminal = stream.isTTY === true;
  let quarter = -1;
  let open = false;
  return {
    update(done, total, text) {
      const share = total > 0 ? Math.min(1, done / total) : 1;
      if (terminal) {
        const full = Math.round(share * width);
        const line = `[${"#".repeat(full)}${".".repeat(width - full)}] ${done}/${total} ${text}`;
        // Longer than the line would wrap, and a wrapped line cannot be redrawn.
        stream.write(`\r\u001b[2K${line.slice(0, (stream.columns ?? 80) - 1)}`);
        open = true;
        return;
      }
      const reached = Math.floor(share * 4);
      if (reached !== quarter) {
        quarter = reached;
        stream.write(`${text} (${done}/${total})\n`);
      }
    },
    note(line) {
      stream.write(`${open ? "\r\u001b[2K" : ""}${line}\n`);
      open = false;
    },
    end() {
      if (open) stream.write("\n");
      open = false;
    },
  };
}
