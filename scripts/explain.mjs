// Prints what a module's programs become: npm run explain -- FILE [--dims T=512,B=8] [--profile NAME] [--export NAME] [--memory FILE.svg]
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { bundleForNode, root } from "./bundle.mjs";

const usage = `usage: npm run explain -- FILE [options]

Prints the kernels of every program that a TypeScript module exports, and what memory a run takes. Needs no device.

  --dims T=512,B=8  sizes of named dims
  --profile NAME    limits of base (default), subgroups, f16, lavapipe or h200
  --export NAME     of several programs, the one to explain
  --memory FILE     write a drawing of who needs memory when (SVG)
  -h, --help        print this`;

function wrong(message) {
  console.error(`explain: ${message}\n\n${usage}`);
  process.exit(2);
}

function parse() {
  const string = { type: "string" };
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        ...{ dims: string, profile: string, export: string, memory: string },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (e) {
    return wrong(e.message.split(/\. |\n/)[0]);
  }
}

/** `T=512,B=8` as an object. */
function parseDims(text = "") {
  const pairs = text.split(",").filter(Boolean);
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, size] = /^(\w+)=(\d+)$/.exec(pair) ?? wrong(`--dims has ${JSON.stringify(pair)}, not NAME=SIZE`);
      return [name, Number(size)];
    }),
  );
}

const { values, positionals } = parse();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const [file] = positionals;
if (!file || positionals.length > 1) wrong(file ? "name one file" : "name a file");
if (!existsSync(file)) wrong(`there is no file ${file}`);
const dims = parseDims(values.dims);

// The module and the profiles must come from one bundle, since both bring their own copy of the compiler.
const entry = join(root, ".cache", `explain-${process.pid}.ts`);
mkdirSync(join(root, ".cache"), { recursive: true });
writeFileSync(
  entry,
  `export * as user from ${JSON.stringify(resolve(file))};\nexport { Program, profiles, SinterError } from "sinter";\n`,
);
process.setSourceMapsEnabled(true);
let bundle;
try {
  bundle = await bundleForNode(entry);
} finally {
  rmSync(entry);
}
const { user, Program, profiles, SinterError } = await import(pathToFileURL(bundle).href);
rmSync(bundle);

const profile = values.profile ?? "base";
if (!Object.hasOwn(profiles, profile)) wrong(`--profile is not one of ${Object.keys(profiles).join(", ")}`);
const capabilities = profiles[profile];
const programs = Object.entries(user).filter(([name, v]) => v instanceof Program && name === (values.export ?? name));
if (programs.length === 0) wrong(`${file} exports no program${values.export ? ` named ${values.export}` : ""}`);
if (values.memory && programs.length > 1) {
  wrong(`--memory draws one program: choose with --export one of ${programs.map(([name]) => name).join(", ")}`);
}
try {
  for (const [name, program] of programs) {
    const own = Object.fromEntries(Object.entries(dims).filter(([d]) => programs.length === 1 || program.dims.has(d)));
    const memory = program.memory({ dims: own, capabilities });
    console.log(
      `${name}, profile ${capabilities.name}\n${program.explain({ dims: own, capabilities }).text}\n${memory}\n`,
    );
    if (values.memory) writeFileSync(values.memory, memory.svg());
  }
} catch (e) {
  if (!(e instanceof SinterError)) throw e;
  console.error(e.message);
  process.exitCode = 1;
}
