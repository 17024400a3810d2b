import { fail, type Place, SinterError } from "../../src/base/diagnostic.ts";
import { openAdapter } from "../../src/node/adapters.ts";

/** What the shader compiler has against a text. Line and column count from 1, in the text. */
export interface WgslProblem {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

let opening: Promise<GPUDevice | undefined> | undefined;

/** Dawn's backend that runs nothing: its front end is that of every other backend. Undefined without the package webgpu. */
function nullDevice(): Promise<GPUDevice | undefined> {
  opening ??= open();
  return opening;
}

async function open(): Promise<GPUDevice | undefined> {
  try {
    const { adapter } = await openAdapter("null");
    const wanted = (["shader-f16", "subgroups"] as GPUFeatureName[]).filter((f) => adapter.features.has(f));
    return await adapter.requestDevice({ requiredFeatures: wanted });
  } catch (e) {
    if (e instanceof SinterError && e.code === "no-adapter") return undefined;
    throw e;
  }
}

/**
 * Compiles a WGSL text without a GPU and returns the errors, first to last; none where the package `webgpu`, which brings
 * the compiler, is not installed.
 */
export async function compileWgsl(source: string): Promise<readonly WgslProblem[]> {
  const device = await nullDevice();
  if (!device) return [];
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code: source });
  const [info] = await Promise.all([module.getCompilationInfo(), device.popErrorScope()]);
  return info.messages
    .filter((m) => m.type === "error")
    .map((m) => ({ line: m.lineNum, column: m.linePos, message: m.message }));
}

/** The compiler goes on to list what it would have accepted. */
const headline = ({ message }: WgslProblem): string => message.split("\n")[0] as string;

/**
 * Compiles a user's WGSL. Fails with `wgsl-compile` naming line and column of the text, and its line.
 * @param place of the call of wgslKernel
 */
export async function checkWgsl(
  source: string,
  { name = "wgslKernel", place }: { readonly name?: string; readonly place?: Place | undefined } = {},
): Promise<void> {
  const [first, ...more] = await compileWgsl(source);
  if (!first) return;
  const line = source.split("\n")[first.line - 1] ?? "";
  fail("wgsl-compile", `${name}: WGSL ${first.line}:${first.column}: ${headline(first)}`, {
    cause: [
      `the line is ${JSON.stringify(line.trim())}`,
      ...more.map((p) => `also ${p.line}:${p.column} ${headline(p)}`),
    ].join("; "),
    hint: "correct the text; line and column count from its beginning",
    ...(place ? { place } : {}),
  });
}
