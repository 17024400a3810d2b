import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { projectRoot, sharedFile } from "../../support/shared.ts";
import { readCases, type WebnnCase } from "./cases.ts";
import { operators, outOfScope } from "./operators.ts";

const dataFiles = ["conformance/webnn_conformance.jsonl", "conformance/webnn_2026_new.jsonl"];

export interface Suite {
  /** Cases to run, by the file they come from. */
  readonly files: ReadonlyMap<string, readonly WebnnCase[]>;
  /** Cases whose values no dtype of ours holds. */
  readonly unfit: readonly WebnnCase[];
  /** Number of cases left out, by the reason and operators of {@link outOfScope}. */
  readonly outOfScope: ReadonlyMap<string, number>;
}

function reasonOf(c: WebnnCase): string | undefined {
  for (const [reason, names] of Object.entries(outOfScope)) {
    const name = c.operators.find((op) => names.includes(op.name))?.name;
    if (name) return `${reason} (${name})`;
  }
  const unknown = c.operators.find((op) => !Object.hasOwn(operators, op.name));
  if (unknown) throw new Error(`${c.id}: operator ${unknown.name} is neither in the table nor out of scope`);
  return undefined;
}

/** The WebNN cases, sorted; undefined (after one line) where the data are not there. */
export function loadSuite(tests: string): Suite | undefined {
  const paths = dataFiles.map((f) => sharedFile(f, tests));
  if (paths.some((p) => p === undefined)) return undefined;
  const files = new Map<string, WebnnCase[]>();
  const unfit: WebnnCase[] = [];
  const left = new Map<string, number>();
  for (const c of paths.flatMap((p) => readCases(p as string))) {
    const reason = reasonOf(c);
    if (reason) left.set(reason, (left.get(reason) ?? 0) + 1);
    else if (c.unfit) unfit.push(c);
    else files.set(c.file, [...(files.get(c.file) ?? []), c]);
  }
  return { files, unfit, outOfScope: left };
}

/**
 * What is expected not to pass. `failures`: by case, the reason and the engines (`interpreter` or an adapter's name) it fails
 * on. `unfit`: cases with values that no dtype holds. A listed case that passes is an error, so the lists only shrink.
 */
export interface Known {
  readonly failures: Readonly<Record<string, { readonly reason: string; readonly on: readonly string[] }>>;
  readonly unfit: readonly string[];
}

export const known: Known = JSON.parse(
  readFileSync(`${projectRoot}/test/conformance/known-failures.json`, "utf8"),
) as Known;

/** Fails the running test when a case fails that is not listed for this engine, or a listed one passes. */
export function judge(engine: string, results: ReadonlyMap<string, string | undefined>): void {
  const problems: string[] = [];
  for (const [id, failure] of results) {
    const listed = known.failures[id]?.on.includes(engine) ?? false;
    if (failure && !listed) problems.push(`${id}: ${failure}`);
    if (!failure && listed) problems.push(`${id}: passes on ${engine}: take it off known-failures.json`);
  }
  expect(problems.join("\n")).toBe("");
}

/** One line for each kind of case that does not run. */
export function skippedText(suite: Suite): string {
  const lines = [...suite.outOfScope].map(([reason, n]) => `  ${n} × ${reason}`).sort();
  return [
    `not run: ${lines.length ? "out of scope:" : ""}`,
    ...lines,
    `  ${suite.unfit.length} × values fit no dtype`,
  ].join("\n");
}
