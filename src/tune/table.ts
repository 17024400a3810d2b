import { fail } from "../base/diagnostic.ts";
import type { AdapterIdentity, FusionChoice, KernelChoice, TuningTable } from "../manifest/tuning.ts";

/** A table that nothing was measured for yet. */
export const emptyTable = (adapter: AdapterIdentity, features: readonly string[] = []): TuningTable => ({
  version: 1,
  adapter,
  features,
  kernels: {},
  fusions: {},
});

type Entries<T> = Readonly<Record<string, T>>;

/**
 * The value as a tuning table.
 * @throws SinterError `bad-tuning-table` where it is none, naming what is wrong
 */
export function checkTuningTable(value: unknown): TuningTable {
  const v = record(value, "it");
  if (v.version !== 1) wrong(`version is ${JSON.stringify(v.version)}`, "this release reads version 1: tune again");
  const adapter = record(v.adapter, "adapter");
  for (const key of ["vendor", "architecture", "device"]) text(adapter[key], `adapter.${key}`);
  if (!Array.isArray(v.features) || v.features.some((f) => typeof f !== "string"))
    wrong("features is no list of names");
  const kernels = record(v.kernels, "kernels");
  for (const [name, entry] of Object.entries(kernels)) {
    const e = record(entry, `kernels[${JSON.stringify(name)}]`);
    for (const key of ["variant", "usual"]) text(e[key], `${key} of ${JSON.stringify(name)}`);
    for (const key of ["time", "usualTime"]) time(e[key], `${key} of ${JSON.stringify(name)}`);
  }
  const fusions = record(v.fusions, "fusions");
  for (const [name, entry] of Object.entries(fusions)) {
    const e = record(entry, `fusions[${JSON.stringify(name)}]`);
    for (const key of ["fused", "apart"]) time(e[key], `${key} of ${JSON.stringify(name)}`);
  }
  return value as TuningTable;
}

/** The table as text, entries in order of the alphabet and one a line, so that changes of it are easy to read. */
export function tuningTableToJson(table: TuningTable): string {
  const entries = (list: Entries<KernelChoice | FusionChoice>): string => {
    const lines = Object.keys(list)
      .sort()
      .map((key) => `    ${JSON.stringify(key)}: ${JSON.stringify(list[key])}`);
    return lines.length ? `{\n${lines.join(",\n")}\n  }` : "{}";
  };
  return [
    "{",
    `  "version": ${table.version},`,
    `  "adapter": ${JSON.stringify(table.adapter)},`,
    `  "features": ${JSON.stringify(table.features)},`,
    `  "kernels": ${entries(table.kernels)},`,
    `  "fusions": ${entries(table.fusions)}`,
    "}",
    "",
  ].join("\n");
}

function record(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  return wrong(`${what} is no object`);
}

function text(value: unknown, what: string): void {
  if (typeof value !== "string") wrong(`${what} is no text`);
}

function time(value: unknown, what: string): void {
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0)
    wrong(`${what} is ${JSON.stringify(value)}, no time`);
}

const wrong = (cause: string, hint = "write tables with `sinter tune`, or leave the option out"): never =>
  fail("bad-tuning-table", "this is no tuning table", { cause, hint });
