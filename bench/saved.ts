import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Gpu } from "sinter";
import { Wrong } from "./options.ts";

/** The adapter that a result is of. */
export interface Device {
  /** `h200`, `lavapipe`, `swiftshader`: names of files and tables. */
  readonly key: string;
  /** What the adapter says it is. */
  readonly text: string;
}

/** What one command measured at one time. */
export interface Entry {
  /** `npm run bench -- …` */
  readonly command: string;
  /** `YYYY-MM-DD` */
  readonly date: string;
  readonly device: string;
  /** Of what it was measured with: `node`, `webgpu`. */
  readonly versions: Readonly<Record<string, string>>;
  /** As `--json` prints it. */
  readonly result: Readonly<Record<string, unknown>>;
}

/** A file under bench/results: what one benchmark measured on one adapter, an entry for each command. */
export interface Saved {
  readonly schema: 1;
  readonly bench: string;
  readonly adapter: string;
  readonly entries: readonly Entry[];
}

export const adapterText = (gpu: Pick<Gpu, "adapterName" | "info">): string => {
  const { device, description, vendor } = gpu.info ?? {};
  // A driver of a GPU may describe itself alone.
  const model = gpu.adapterName === "gpu" && device ? [device] : [];
  return [gpu.adapterName, ...model, description || vendor].filter(Boolean).join(": ");
};

/** A software adapter's own name, else the model's, without the maker's. */
export function deviceOf(gpu: Pick<Gpu, "adapterName" | "info">): Device {
  const text = adapterText(gpu);
  if (gpu.adapterName !== "gpu") return { key: gpu.adapterName, text };
  const { device, description, vendor = "" } = gpu.info ?? {};
  const words = (device || description || "gpu").toLowerCase().match(/[a-z0-9]+/g) ?? ["gpu"];
  return { key: words.filter((w) => w !== vendor.toLowerCase()).join("-") || "gpu", text };
}

export const fileOf = (folder: string, bench: string, adapter: string): string =>
  join(folder, `${bench}.${adapter}.json`);

export function readSaved(file: string): Saved {
  let saved: Partial<Saved> | null;
  try {
    saved = JSON.parse(readFileSync(file, "utf8")) as Partial<Saved> | null;
  } catch (e) {
    throw new Wrong(`${file} cannot be read: ${(e as Error).message}`);
  }
  if (!Array.isArray(saved?.entries)) throw new Wrong(`${file} holds no results: it has no list of entries`);
  return saved as Saved;
}

/** The files of results in a folder, in order. */
export function filesIn(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((n) => n.endsWith(".json"));
    return names.sort().map((n) => join(folder, n));
  } catch (e) {
    throw new Wrong(`${folder} cannot be read: ${(e as Error).message}`);
  }
}

/** All results of a folder by name, in order. */
export const savedIn = (folder: string): Saved[] => (existsSync(folder) ? filesIn(folder).map(readSaved) : []);

/** Puts an entry in the place of the one of the same command; commands keep their order. */
export function withEntry(saved: Saved, entry: Entry): Saved {
  const at = saved.entries.findIndex((e) => e.command === entry.command);
  return { ...saved, entries: at < 0 ? [...saved.entries, entry] : saved.entries.with(at, entry) };
}

/** Adds an entry to the file of its benchmark and adapter; gives the file's name. */
export function save(folder: string, bench: string, adapter: string, entry: Entry): string {
  mkdirSync(folder, { recursive: true });
  const file = fileOf(folder, bench, adapter);
  const known: Saved = existsSync(file) ? readSaved(file) : { schema: 1, bench, adapter, entries: [] };
  writeFileSync(file, `${JSON.stringify(withEntry(known, entry), rounded, 1)}\n`);
  return file;
}

/** Six digits say all that a measurement knows. */
const rounded = (_: string, v: unknown): unknown =>
  typeof v === "number" && !Number.isInteger(v) ? Number(v.toPrecision(6)) : v;

/** What is wrong with a file's content; nothing when it has the schema. */
export function faults(saved: unknown): string[] {
  const s = saved as Partial<Saved>;
  const out: string[] = [];
  const need = (ok: boolean, what: string): void => {
    if (!ok) out.push(what);
  };
  need(s.schema === 1, "schema is not 1");
  need(typeof s.bench === "string" && typeof s.adapter === "string", "bench and adapter are not texts");
  need(Array.isArray(s.entries) && s.entries.length > 0, "there are no entries");
  for (const e of Array.isArray(s.entries) ? s.entries : []) {
    need(
      typeof e?.command === "string" && e.command.startsWith(`npm run bench -- ${s.bench}`),
      `${e?.command} is not a command of ${s.bench}`,
    );
    need(/^\d{4}-\d\d-\d\d$/.test(e?.date), `${e?.date} is not a date`);
    need(typeof e?.device === "string" && e.device !== "", "an entry has no device");
    need(
      typeof e?.versions?.node === "string" && typeof e.versions.webgpu === "string",
      "versions lack node or webgpu",
    );
    need(typeof e?.result === "object" && e.result !== null, "an entry has no result");
  }
  return out;
}
