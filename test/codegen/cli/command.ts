import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build, type Metafile } from "esbuild";
import { root } from "../../../scripts/bundle.mjs";

/** The command, bundled as it is installed: one module loads others only when it needs them. */
export interface Command {
  readonly file: string;
  readonly metafile: Metafile;
  remove(): void;
}

export async function bundleCommand(): Promise<Command> {
  mkdirSync(join(root, ".cache"), { recursive: true });
  const outdir = mkdtempSync(join(root, ".cache", "cli-"));
  const { metafile } = await build({
    entryPoints: [join(root, "codegen/cli/main.ts")],
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    metafile: true,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    sourcemap: true,
    sourcesContent: false,
    outdir,
    outExtension: { ".js": ".mjs" },
    logLevel: "warning",
  });
  return { file: join(outdir, "main.mjs"), metafile, remove: () => rmSync(outdir, { recursive: true, force: true }) };
}

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when what was printed on stderr from `from` on matches, with where the match ends. */
  seen(pattern: RegExp, from?: number): Promise<number>;
}

/** Starts the command outside of any terminal. What the environment of the tests says about colours does not count. */
export function start(
  { file }: Command,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Running {
  const { NO_COLOR, FORCE_COLOR, CI, TERM, ...own } = process.env;
  const child = spawn(process.execPath, [file, ...args], {
    cwd,
    env: { ...own, TERM: "xterm", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  const waiting = new Set<() => void>();
  child.stdout.on("data", (d) => (stdout += d));
  child.stderr.on("data", (d) => {
    stderr += d;
    for (const look of waiting) look();
  });
  return {
    process: child,
    ended: new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr }))),
    seen: (pattern, from = 0) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = pattern.exec(stderr.slice(from));
          if (!found) return;
          waiting.delete(look);
          resolve(from + found.index + found[0].length);
        };
        waiting.add(look);
        child.on("close", () => reject(new Error(`it ended before printing ${pattern}:\n${stderr}`)));
        look();
      }),
  };
}

export const run = (
  command: Command,
  args: readonly string[],
  cwd: string,
  env?: Readonly<Record<string, string>>,
): Promise<Ended> => start(command, args, cwd, env).ended;

/** A folder outside of the repository with these files. */
export function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "sinter-cli-"));
  for (const [name, text] of Object.entries(files)) write(folder, name, text);
  return folder;
}

export function write(folder: string, name: string, text: string): void {
  mkdirSync(dirname(join(folder, name)), { recursive: true });
  writeFileSync(join(folder, name), text);
}

export const kernelFile = `import { defineKernel, dim } from "sinter";

const n = dim("n", { hint: 4096 });

/** y = 2x */
export const twice = defineKernel({ name: "twice", inputs: (float) => ({ x: float(n) }), dtypes: ["f32"] }, ({ x }) => ({
  y: x.mul(2),
}));
`;
