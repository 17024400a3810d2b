import { type Diagnostic, SinterError } from "../../src/base/diagnostic.ts";
import type { UniformKernel } from "../../src/manifest/uniform.ts";
import { canonicalJson } from "./canonical-json.ts";
import { hashOf } from "./header.ts";
import { wgslName } from "./wgsl-files.ts";

/** Its name in a generated folder. */
export const manifestName = "manifest.json";
const format = "sinter-build";
/** Changes when the meaning of the file does. */
const manifestSchema = 1;

/** What a generated folder holds, and what from: its lockfile. Plain data. */
export interface BuildManifest {
  /** Version of Sinter. */
  readonly sinter: string;
  /** Every generated file but this one, sorted by name. */
  readonly files: readonly ManifestFile[];
  /** Sorted by name. */
  readonly kernels: readonly ManifestKernel[];
}

export interface ManifestFile {
  /** A name in the folder, without path. */
  readonly name: string;
  readonly sha256: string;
}

export interface ManifestKernel {
  readonly name: string;
  /** The names that the source exports it by. */
  readonly exports: readonly string[];
  /** The kernel file, relative to the generated folder. */
  readonly source: string;
  /** The kernel file and the files that it imports, relative to the generated folder, sorted. */
  readonly inputs: readonly ManifestFile[];
  /** Names of its files. */
  readonly files: readonly string[];
  /** The kernel with names of `.wgsl` files instead of texts. */
  readonly kernel: unknown;
}

/** A kernel as the manifest holds it: each text is the name of its file. */
export const withoutTexts = (kernel: UniformKernel): unknown => ({
  ...kernel,
  codes: kernel.codes.map((code) => ({
    ...code,
    variants: code.variants.map((v) => ({
      ...v,
      steps: v.steps.map((s, i) => ({ ...s, wgsl: wgslName(kernel.name, code, v, i) })),
    })),
  })),
});

/** The manifest as the text of its file. It holds the hash of the text without that hash. */
export function manifestText(m: BuildManifest): string {
  const body = { format, schema: manifestSchema, sinter: m.sinter, files: m.files, kernels: m.kernels };
  return sealed(canonicalJson(body));
}

const lastMember = '\n  "sinter": ';

/** The hash stands where its name is in order: before the last member. */
function sealed(body: string): string {
  const at = body.lastIndexOf(lastMember);
  return `${body.slice(0, at)}\n  "sha256": "${hashOf(body)}",${body.slice(at)}`;
}

const unsealed = (text: string): string => {
  const at = text.lastIndexOf(lastMember);
  return text.slice(0, at).replace(/\n {2}"sha256": "[0-9a-f]{64}",$/, "") + text.slice(at);
};

/**
 * Reads the text of a manifest, which is not trusted: every field is checked, and no byte of it may have changed. Fails
 * with `bad-manifest`.
 * @param file for the error's place
 */
export function readManifest(text: string, file: string): BuildManifest {
  const wrong = (problem: string, hint = "restore it from version control; or delete it and build again"): never => {
    const d: Diagnostic = {
      code: "bad-manifest",
      message: `the manifest ${problem}`,
      cause: "the build needs it to tell its own files from others, and writes nothing before it is in order",
      hint,
      place: { file, line: 1, column: 1 },
    };
    throw new SinterError(d);
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (e) {
    return wrong(`is not JSON: ${(e as Error).message.replace(/\s+/g, " ").slice(0, 80)}`);
  }
  const shape = isRecord(value, ["files", "format", "kernels", "schema", "sha256", "sinter"]);
  if (!isRecord(value) || value.format !== format)
    return wrong(`is no manifest of a build: its format is not ${format}`);
  if (value.schema !== manifestSchema) {
    return wrong(
      `has schema ${JSON.stringify(value.schema)?.slice(0, 20)}, and this version of Sinter reads ${manifestSchema}`,
      "use the version of Sinter that wrote it, or delete the generated folder and build again",
    );
  }
  if (!shape) return wrong("has members that do not belong there, or lacks some");
  if (sealed(unsealed(text)) !== text) return wrong("was changed after it was written");
  if (!isManifest(value)) return wrong("does not have the form of one");
  const { sinter, files, kernels } = value;
  return { sinter, files, kernels };
}

type Plain = Readonly<Record<string, unknown>>;

/** An object, with these members and no others if they are given. */
function isRecord(v: unknown, keys?: readonly string[]): v is Plain {
  if (typeof v !== "object" || v === null || Array.isArray(v)) return false;
  return keys === undefined || (Object.keys(v).length === keys.length && keys.every((k) => Object.hasOwn(v, k)));
}

const isText = (v: unknown): v is string => typeof v === "string";
const isHash = (v: unknown): boolean => isText(v) && /^[0-9a-f]{64}$/.test(v);
/** A file in the folder itself: never a path, as such files may be removed. */
const isName = (v: unknown): boolean => isText(v) && /^[\w$][\w$.-]*$/.test(v) && v !== manifestName;
const listOf = (v: unknown, item: (x: unknown) => boolean): boolean => Array.isArray(v) && v.every(item);
const isFile =
  (name: (v: unknown) => boolean) =>
  (v: unknown): boolean =>
    isRecord(v, ["name", "sha256"]) && name(v.name) && isHash(v.sha256);
const sorted = (v: unknown): boolean =>
  (v as readonly { readonly name: string }[]).every((x, i, all) => i === 0 || (all[i - 1]?.name as string) < x.name);

function isKernel(v: unknown): boolean {
  return (
    isRecord(v, ["exports", "files", "inputs", "kernel", "name", "source"]) &&
    isText(v.name) &&
    isText(v.source) &&
    listOf(v.exports, isText) &&
    listOf(v.files, isName) &&
    listOf(v.inputs, isFile(isText)) &&
    isRecord(v.kernel)
  );
}

function isManifest(v: Plain): v is Plain & BuildManifest {
  return (
    isText(v.sinter) &&
    listOf(v.files, isFile(isName)) &&
    listOf(v.kernels, isKernel) &&
    sorted(v.files) &&
    sorted(v.kernels)
  );
}
