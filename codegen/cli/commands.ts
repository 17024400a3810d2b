import type { CommandModule } from "./context.ts";

/** A command as its help shows it. */
export interface CommandText {
  readonly name: string;
  /** In commander's notation: `<needed>`, `[optional]`, `[many...]`. */
  readonly args?: string;
  readonly summary: string;
  readonly description: string;
  /** Flags and what they do. */
  readonly options: readonly (readonly [flags: string, about: string])[];
  /** Command lines and what they do. */
  readonly examples: readonly (readonly [line: string, about: string])[];
  /** Imported only when the command runs, so that help and mistakes cost nothing. */
  load(): Promise<CommandModule>;
}

const config = ["-c, --config <file>", "the config; by default sinter.config.ts here or above"] as const;

/** Options that every command has. */
export const sharedOptions: CommandText["options"] = [
  ["--json", "print data as one JSON document"],
  ["-q, --quiet", "say nothing but errors"],
  ["--color <when>", "auto, always or never; NO_COLOR and FORCE_COLOR count too"],
];

export const commands: readonly CommandText[] = [
  {
    name: "build",
    args: "[globs...]",
    summary: "generate modules, WGSL and manifests from kernel files",
    description:
      "Reads kernel files and writes, beside each, a typed module, its WGSL and the folder's manifest. What is up to date is left alone; files of kernels that are gone are removed.",
    options: [config, ["--force", "compile again what has not changed"]],
    examples: [
      ["sinter build", "all kernel files of the config, else **/*.kernel.ts"],
      ["sinter build src/kernels", "those of a folder"],
      ["sinter build 'kernels/norm*'", "those that a glob matches"],
      ["sinter build --json > build.json", "what was written, for machines"],
    ],
    load: () => import("./commands/build.ts"),
  },
  {
    name: "check",
    args: "[globs...]",
    summary: "say which generated files are stale, missing or foreign",
    description:
      "Generates everything in memory and compares it with the files, which stay as they are. Exit code 1 when anything differs: made for CI.",
    options: [config],
    examples: [
      ["sinter check", "compare all generated files"],
      ["sinter check --quiet || sinter build", "build when anything is stale"],
    ],
    load: () => import("./commands/check.ts"),
  },
  {
    name: "watch",
    args: "[globs...]",
    summary: "build, and build again whenever a kernel file changes",
    description:
      "Builds, then waits for changes of kernel files, of what they import and of the config. Ctrl-C ends it.",
    options: [config],
    examples: [["sinter watch", "keep the generated files up to date while editing"]],
    load: () => import("./commands/watch.ts"),
  },
  {
    name: "explain",
    args: "<what>",
    summary: "show what a kernel or program becomes, or explain an error code",
    description:
      "For FILE#EXPORT: the GPU kernels of a kernel or of a program, what fused and why not, and the bytes moved against the least that any kernels must move. For an error code: its long text.",
    options: [
      ["--dims <sizes>", "sizes of named dims, as in rows=128,cols=768; else their hints"],
      ["--profile <name>", "plan for this capability profile (base, subgroups, f16, lavapipe, h200)"],
      ["--dtype <dtype>", "f32 or f16; else each that the kernel is built for"],
      ["--wgsl", "print the WGSL of every step"],
      ["--memory <file>", "draw who needs memory when, as SVG"],
    ],
    examples: [
      ["sinter explain kernels/norm.kernel.ts#layerNorm", "one kernel"],
      ["sinter explain src/model.ts --dims T=512", "all programs that a module exports"],
      ["sinter explain src/model.ts#step --memory memory.svg", "its memory over one run, drawn"],
      ["sinter explain shape-mismatch", "an error code"],
    ],
    load: () => import("./commands/explain.ts"),
  },
  {
    name: "tune",
    args: "<what...>",
    summary: "measure which kernel variants and fusions are fastest on this adapter",
    description:
      "Compiles programs (a module, or FILE#EXPORT) and kernels (kernel files, or names) for an adapter, times every variant of every kernel on random data of its real shapes, and what fusions gain. A variant wins that gives the same numbers in at least 3 % less time. The table is stored after each kernel; run again, it goes on from there.",
    options: [
      ["--out <file>", "the table; by default sinter-tuning.json"],
      ["--adapter <name>", "gpu, lavapipe or swiftshader; by default a GPU if there is one"],
      ["--dims <sizes>", "sizes of named dims, as in rows=128,cols=768; else their hints"],
      ["--budget <seconds>", "begin no further kernel after this time; by default 300"],
      ["--again", "measure again what the table has"],
      ["--no-fusions", "time kernels only"],
      config,
    ],
    examples: [
      ["sinter tune src/model.ts#step", "one program"],
      ["sinter tune softmax layerNorm --out h200.json", "kernels of the config's files, by their names"],
      ["sinter tune src/model.ts --dims T=512 --budget 60", "for a minute"],
    ],
    load: () => import("./commands/tune.ts"),
  },
  {
    name: "doctor",
    summary: "show adapters, their features and what is installed",
    description:
      "Opens every WebGPU adapter that Node can reach and shows which kernel variants it runs; checks versions and the packages that are needed, and says what to do about what is missing.",
    options: [config],
    examples: [
      ["sinter doctor", "look at this machine"],
      ["sinter doctor --json", "the same for a bug report"],
    ],
    load: () => import("./commands/doctor.ts"),
  },
  {
    name: "init",
    summary: "start: a config, an example kernel and its test",
    description:
      "Writes sinter.config.ts, an example kernel file and a test of it, and adds scripts to package.json. Files that exist are kept.",
    options: [["--force", "overwrite files that exist"]],
    examples: [["sinter init && sinter build", "from nothing to a generated kernel"]],
    load: () => import("./commands/init.ts"),
  },
];
