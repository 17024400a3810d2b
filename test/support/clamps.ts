import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../scripts/bundle.mjs";
import { swiftshaderFiles } from "../../src/node/swiftshader.ts";

/** An index into an array of the kernel's own that Tint could not prove to be in range. */
export interface Clamp {
  /** `Workgroup`, `Private` or `Function`. */
  readonly storage: string;
  /** How many loops it is in. */
  readonly loops: number;
  /** The last index, which larger ones become. */
  readonly last: string;
}

const folder = "/usr/share/vulkan/icd.d";
const lavapipe = (): string => join(folder, readdirSync(folder).find((f) => /^lvp_icd/.test(f)) ?? "lvp_icd.json");

/** What Dawn makes of kernels for Vulkan, as SPIR-V in words, one for each text. */
export function spirvOf(texts: readonly string[], adapter: "swiftshader" | "lavapipe"): string[] {
  const files = swiftshaderFiles();
  if (typeof files === "string") throw new Error(files);
  const icd = adapter === "lavapipe" ? lavapipe() : files.icd;
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [join(root, "test/support/dump-shaders.mjs"), files.loader],
    {
      input: JSON.stringify(texts),
      env: { ...process.env, VK_ICD_FILENAMES: icd, VK_DRIVER_FILES: icd, GALLIVM_PERF: "nopt" },
      encoding: "utf8",
      maxBuffer: 2 ** 28,
    },
  );
  if (status !== 0) throw new Error(stderr);
  return stdout.split(/^info:\n/m).filter((part) => part.startsWith("/* Dumped SPIRV"));
}

/**
 * The clamped indices of a module: an access to an array in workgroup or private memory, or to a vector's component, by a
 * minimum. Storage buffers are left out: their ends are the driver's business where it can keep to them by itself.
 */
export function clampsIn(spirv: string): Clamp[] {
  const storage = new Map<string, string>();
  const constants = new Map<string, string>();
  const least = new Map<string, readonly string[]>();
  const found: Clamp[] = [];
  let merges: string[] = [];
  for (const line of spirv.split("\n")) {
    const m = /^\s*(?:(%\S+) = )?(Op\w+)\s*(.*)$/.exec(line);
    if (!m) continue;
    const [, id = "", op = "", rest = ""] = m;
    const words = rest.split(/\s+/);
    if (op === "OpFunction") merges = [];
    if (op === "OpLoopMerge") merges.push(words[0] as string);
    if (op === "OpLabel" && merges.at(-1) === id) merges.pop();
    if (op === "OpVariable") storage.set(id, words[1] as string);
    if (op === "OpConstant") constants.set(id, words[1] as string);
    if (op === "OpExtInst" && /^[USF]Min$|Clamp$/.test(words[2] as string)) least.set(id, words.slice(3));
    if (op !== "OpAccessChain" && op !== "OpVectorExtractDynamic") continue;
    const where = op === "OpAccessChain" ? (storage.get(words[1] as string) ?? "other") : "Function";
    if (["StorageBuffer", "Uniform", "Input"].includes(where)) continue;
    for (const index of words.slice(2)) {
      const bounds = least.get(index)?.flatMap((w) => constants.get(w) ?? []);
      if (bounds) found.push({ storage: where, loops: merges.length, last: bounds.at(-1) ?? "?" });
    }
  }
  return found;
}
