import { writeFileSync } from "node:fs";
import { type Gpu, type ProfileReport, profile, type Session } from "sinter";
import { chromeTrace } from "../src/runtime/timeline.ts";
import { requireTimestamps } from "../src/runtime/timestamps.ts";
import type { PlainOptions } from "./options.ts";
import { type ProfileFigures, profileFigures } from "./profile-figures.ts";

/** Times the kernels of a benchmark's sessions, where `--profile` or `--trace` asks for it, and keeps what it finds. */
export class Probe {
  readonly on: boolean;
  readonly #trace: string | undefined;
  readonly #reports: { readonly name: string; readonly report: ProfileReport }[] = [];

  constructor({ profile, trace }: Pick<PlainOptions, "profile" | "trace">) {
    this.on = profile;
    this.#trace = trace;
  }

  /** Fails with `no-timestamps` where a profile is asked for that the device cannot give. */
  require(gpu: Gpu): void {
    if (this.on) requireTimestamps(gpu);
  }

  /** Runs a session `2 * runs + 1` times, its state changing; does nothing unless asked for. */
  async session(
    name: string,
    session: Pick<Session<never, never, never, never>, "gpu">,
    inputs: object,
    runs = 5,
  ): Promise<void> {
    if (!this.on) return;
    this.require(session.gpu);
    this.add(name, await profile(session as Session, inputs as never, { runs }));
  }

  add(name: string, report: ProfileReport): void {
    this.#reports.push({ name, report });
  }

  /** A table for each session. */
  text(): string {
    return this.#reports.map(({ name, report }) => `${name}\n${report}`).join("\n\n");
  }

  figures(): { readonly name: string; readonly profile: ProfileFigures }[] {
    return this.#reports.map(({ name, report }) => ({ name, profile: profileFigures(report) }));
  }

  /** One timeline of all sessions. */
  trace(): string {
    const several = this.#reports.length > 1;
    const spans = this.#reports.flatMap(({ name, report }) =>
      report.spans.map((s) => (several ? { ...s, details: { session: name, ...s.details } } : s)),
    );
    return JSON.stringify(chromeTrace(spans));
  }

  /** Writes the timeline where `--trace` asks for it. */
  write(): void {
    if (this.#trace !== undefined) writeFileSync(this.#trace, this.trace());
  }
}
