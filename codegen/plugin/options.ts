import { fail } from "../../src/base/diagnostic.ts";
import { suggest } from "../../src/base/suggest.ts";
import type { KernelDType } from "../../src/frontend/define-kernel.ts";

/** Options of the plugins for bundlers. */
export interface SinterPluginOptions {
  /** dtypes to build for, of those that a kernel offers. Default all. */
  readonly dtypes?: readonly KernelDType[] | undefined;
  /** WGSL without comments and blanks, with short names. Default: when the bundle is minified. */
  readonly minify?: boolean | undefined;
  /** The folder of what was compiled before, or false for none. Default `node_modules/.cache/sinter`. */
  readonly cache?: string | false | undefined;
}

const kinds: Readonly<Record<keyof SinterPluginOptions, readonly [wanted: string, is: (v: unknown) => boolean]>> = {
  dtypes: [
    'an array of "f32" and "f16"',
    (v) => Array.isArray(v) && v.length > 0 && v.every((d) => d === "f32" || d === "f16"),
  ],
  minify: ["true or false", (v) => typeof v === "boolean"],
  cache: ["the path of a folder, or false", (v) => v === false || (typeof v === "string" && v !== "")],
};

/** Fails with `unknown-option` or `bad-option`. */
export function checkPluginOptions(options: SinterPluginOptions): SinterPluginOptions {
  for (const [name, value] of Object.entries(options)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name as keyof SinterPluginOptions] : undefined;
    if (!kind) {
      const near = suggest(name, Object.keys(kinds));
      fail("unknown-option", `the plugin sinter has no option ${JSON.stringify(name)}`, {
        hint: near ? `did you mean ${JSON.stringify(near)}?` : `known: ${Object.keys(kinds).join(", ")}`,
      });
    }
    if (value !== undefined && !kind[1](value)) {
      fail("bad-option", `the plugin sinter: ${name} cannot be ${JSON.stringify(value) ?? String(value)}`, {
        hint: `give ${kind[0]}, or leave it out`,
      });
    }
  }
  return options;
}
