import type { Diagnostic, Place } from "../../src/base/diagnostic.ts";
import type { UniformKernel } from "../../src/manifest/uniform.ts";

/** A name for messages: whatever it holds, one short line. */
export const shown = (name: string): string => JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name);

const identifier = /^[A-Za-z_$][\w$]{0,99}$/;
/** Names of nested inputs and outputs have parts. */
const tensorName = /^[A-Za-z_$][\w$]*(?:\.[\w$]+)*$/;
const variantName = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}[A-Za-z0-9])?$/;

const reserved = new Set(
  (
    "arguments await break case catch class const continue debugger delete do else enum eval export extends false finally for " +
    "function if implements import in instanceof interface let new null package private protected public return static super " +
    "switch this throw true try typeof undefined var void while with yield"
  ).split(" "),
);
/** Files of these names are devices on Windows. */
const devices = /^(?:con|prn|aux|nul|com\d|lpt\d)$/i;

const bad = (what: string, name: string, cause: string, hint: string, place: Place | undefined): Diagnostic => ({
  code: "bad-kernel-name",
  message: `${shown(name)} cannot name ${what}`,
  cause,
  hint,
  ...(place ? { place } : {}),
});

/** What is wrong with the names that become identifiers and parts of file names. */
export function checkNames(kernel: UniformKernel, exports: readonly string[], place: Place | undefined): Diagnostic[] {
  const found: Diagnostic[] = [];
  const { name } = kernel;
  if (!identifier.test(name)) {
    found.push(
      bad(
        "a kernel",
        name,
        "the name becomes that of files",
        "use up to 100 letters, digits, _ and $, and no digit first",
        place,
      ),
    );
  } else if (devices.test(name)) {
    found.push(
      bad("a kernel", name, "Windows has a device of that name, and no such file", "choose another name", place),
    );
  }
  for (const e of exports) {
    if (e === "default") continue;
    if (!identifier.test(e)) {
      found.push(
        bad(
          "an export",
          e,
          "the generated module exports it too",
          "use up to 100 letters, digits, _ and $, and no digit first",
          place,
        ),
      );
    } else if (reserved.has(e)) {
      found.push(bad("an export", e, "it is a reserved word of JavaScript", "export it by another name", place));
    }
  }
  if (exports.every((e) => e === "default") && reserved.has(name)) {
    found.push(
      bad(
        "a kernel that is exported as default",
        name,
        "it is a reserved word of JavaScript",
        "choose another name",
        place,
      ),
    );
  }
  const tensors = Object.values(kernel.tensors).flatMap((list) => (list ?? []).map((t) => t.name));
  for (const t of new Set([...tensors, ...kernel.dims, ...kernel.scalars.map((s) => s.name)])) {
    if (t.length > 100 || !tensorName.test(t) || t === "__proto__") {
      found.push(
        bad(
          "an input, output or dim",
          t,
          "calls give it by name",
          "use up to 100 letters, digits, _ and $, and no digit first",
          place,
        ),
      );
    }
  }
  return [...found, ...clashesWithin(kernel, place), ...variantNames(kernel, place)];
}

/** A call gives sizes and scalars in one object. */
function clashesWithin(kernel: UniformKernel, place: Place | undefined): Diagnostic[] {
  const dims = new Set(kernel.dims);
  return kernel.scalars
    .filter((s) => dims.has(s.name))
    .map((s) => ({
      code: "name-clash",
      message: `kernel ${kernel.name}: ${shown(s.name)} names a scalar and a dim`,
      cause: "a call gives both in one object",
      hint: "rename one of them",
      ...(place ? { place } : {}),
    }));
}

function variantNames(kernel: UniformKernel, place: Place | undefined): Diagnostic[] {
  const found: Diagnostic[] = [];
  const names = new Set(kernel.codes.flatMap((c) => c.variants.map((v) => v.name)));
  for (const v of names) {
    if (!variantName.test(v)) {
      found.push(
        bad("a variant", v, "the name becomes a part of file names", "use up to 40 letters, digits and -", place),
      );
    }
  }
  for (const code of kernel.codes) {
    const lower = code.variants.map((v) => v.name.toLowerCase());
    const twice = lower.find((n, i) => lower.indexOf(n) < i);
    if (twice === undefined) continue;
    found.push({
      code: "name-clash",
      message: `kernel ${kernel.name} has two variants named ${shown(twice)}`,
      cause: twice === "any" ? "the variant for all other sizes is named any" : "the name becomes a part of file names",
      hint: "rename one of them",
      ...(place ? { place } : {}),
    });
    break;
  }
  return found;
}

/** A kernel among those whose files lie in one folder. */
export interface Neighbour {
  readonly name: string;
  /** The kernel file, as messages show it. */
  readonly source: string;
  readonly place?: Place | undefined;
}

/** Kernels whose files would be the same, also where file names do not tell capitals. */
export function nameClashes(kernels: readonly Neighbour[]): Diagnostic[] {
  const first = new Map<string, Neighbour>();
  return kernels.flatMap((k): Diagnostic[] => {
    const other = first.get(k.name.toLowerCase());
    if (!other) {
      first.set(k.name.toLowerCase(), k);
      return [];
    }
    const at = other.place ? `:${other.place.line}:${other.place.column}` : "";
    return [
      {
        code: "name-clash",
        message:
          other.name === k.name
            ? `two kernels are named ${shown(k.name)}`
            : `the kernels ${shown(k.name)} and ${shown(other.name)} differ in capitals only`,
        cause: `the other one is in ${other.source}${at}, and both would be ${k.name}.ts in the same folder`,
        hint: "rename one of them",
        ...(k.place ? { place: k.place } : {}),
      },
    ];
  });
}
