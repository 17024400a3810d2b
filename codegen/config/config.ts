import { fail, type Place } from "../../src/base/diagnostic.ts";
import { suggest } from "../../src/base/suggest.ts";

/** What `sinter.config.ts` exports. All keys may be left out. */
export interface SinterConfig {
  /** Globs of kernel files, relative to the root. Default `**\/*.kernel.ts` outside `node_modules`, `dist` and dot folders. */
  readonly include?: string | readonly string[];
  /** Globs of files to leave out, relative to the root. */
  readonly exclude?: string | readonly string[];
  /** The folder that nothing is written outside of, relative to the config's. Default: the config's. */
  readonly root?: string;
  /** Where generated files go, relative to each kernel file. Default `generated`. */
  readonly outDir?: string;
  /** dtypes to build for, of those that a kernel offers. Default all. */
  readonly dtypes?: readonly ("f32" | "f16")[];
  /** WGSL in modules without comments and blanks, with short names. Default false. */
  readonly minify?: boolean;
  /** How generated modules import each other. Default `.js`, which compilers and bundlers take for the `.ts` file there. */
  readonly importExtension?: ".js" | ".ts";
}

/** The config as it is, with its type checked: `export default defineConfig({ … })`. */
export const defineConfig = (config: SinterConfig): SinterConfig => config;

interface Key {
  readonly wanted: string;
  accepts(value: unknown): boolean;
}

const isText = (v: unknown): v is string => typeof v === "string" && v !== "";
const texts: Key = {
  wanted: "a glob or an array of globs",
  accepts: (v) => (Array.isArray(v) ? v : [v]).every(isText),
};
const folder: Key = { wanted: "the path of a folder", accepts: isText };

const keys: Readonly<Record<keyof SinterConfig, Key>> = {
  include: texts,
  exclude: texts,
  root: folder,
  outDir: folder,
  dtypes: {
    wanted: 'an array of "f32" and "f16"',
    accepts: (v) => Array.isArray(v) && v.length > 0 && v.every((d) => d === "f32" || d === "f16"),
  },
  importExtension: { wanted: '".js" or ".ts"', accepts: (v) => v === ".js" || v === ".ts" },
  minify: { wanted: "true or false", accepts: (v) => typeof v === "boolean" },
};

export const configKeys: readonly string[] = Object.keys(keys);

/**
 * Checks a config.
 * @param placeOf where a key stands in the file
 * @throws SinterError `bad-config`, `unknown-option`, `bad-option`
 */
export function checkConfig(config: unknown, name: string, placeOf: (key?: string) => Place | undefined): SinterConfig {
  const at = (key?: string) => {
    const place = placeOf(key);
    return place ? { place } : {};
  };
  const plain = typeof config === "object" && config !== null && Object.getPrototypeOf(config) === Object.prototype;
  if (!plain) {
    fail("bad-config", `${name} exports ${config === undefined ? "no default" : describeValue(config)}`, {
      ...at(),
      cause: "the default export is the config",
      hint: "write export default defineConfig({ … })",
    });
  }
  for (const [key, value] of Object.entries(config)) {
    const known = Object.hasOwn(keys, key) ? keys[key as keyof SinterConfig] : undefined;
    if (!known) {
      const near = suggest(key, configKeys);
      fail("unknown-option", `${name} has the key ${JSON.stringify(key)}, which nobody reads`, {
        ...at(key),
        hint: near ? `did you mean ${JSON.stringify(near)}?` : `known: ${configKeys.join(", ")}`,
      });
    }
    if (value !== undefined && !known.accepts(value)) {
      fail("bad-option", `${name}: ${key} is ${describeValue(value)}`, { ...at(key), hint: `give ${known.wanted}` });
    }
  }
  return config;
}

function describeValue(v: unknown): string {
  if (typeof v === "function") return "a function";
  if (v instanceof Promise) return "a promise";
  const text = JSON.stringify(v) ?? String(v);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
