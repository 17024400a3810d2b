import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";

export interface TestProject {
  readonly root: string;
  path(name: string): string;
  write(name: string, text: string): void;
  read(name: string): string;
  /** All files below a folder with their contents. */
  files(folder?: string): Record<string, string>;
}

/** A folder with these files, which lasts until the test has ended. */
export function project(files: Readonly<Record<string, string>>): TestProject {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "sinter-build-")));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const path = (name: string): string => join(root, name);
  const write = (name: string, text: string): void => {
    mkdirSync(dirname(path(name)), { recursive: true });
    writeFileSync(path(name), text);
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  return {
    root,
    path,
    write,
    read: (name) => readFileSync(path(name), "utf8"),
    files(folder = ".") {
      const names = readdirSync(path(folder), { recursive: true, encoding: "utf8" }).sort();
      const list = names.filter((n) => statSync(join(path(folder), n)).isFile());
      return Object.fromEntries(list.map((n) => [n, readFileSync(join(path(folder), n), "utf8")]));
    },
  };
}

/** A small kernel: `y = x * by`. */
export const kernelText = (name: string, by: string | number = 2, dtypes = '["f32"]'): string =>
  `defineKernel({ name: "${name}", dtypes: ${dtypes}, inputs: (float) => ({ x: float(dim("n")) }) }, ({ x }) => ({ y: x.mul(${by}) }))`;

export const kernelFile = (...names: string[]): string =>
  `import { defineKernel, dim } from "sinter";\n${names.map((n) => `export const ${n} = ${kernelText(n)};\n`).join("")}`;
