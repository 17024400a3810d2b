import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A folder with an application in it, as somebody would write one. */
export interface Project {
  readonly root: string;
  /** Absolute path of a file. */
  file(name: string): string;
  write(name: string, text: string): void;
  remove(): void;
}

export function makeProject(files: Readonly<Record<string, string>>): Project {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "sinter-bundler-")));
  const project: Project = {
    root,
    file: (name) => join(root, name),
    write(name, text) {
      const path = join(root, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
  for (const [name, text] of Object.entries(files)) project.write(name, text);
  return project;
}

/** A file of two kernels; the factor is in the texts of the first. */
export const kernels = (factor: string): string => `import { defineKernel, dim, sum } from "sinter";

const n = dim("n", { hint: 4096 });

/** y is x, larger. */
export const scaled = defineKernel(
  { name: "scaled", inputs: (float) => ({ x: float(n) }) },
  ({ x }) => ({ y: x.mul(${factor}) }),
);

export const total = defineKernel({ name: "total", inputs: (float) => ({ x: float(n) }) }, ({ x }) => ({
  s: sum(x),
}));
`;

/** Where the first kernel is defined in it. */
export const scaledLine = 6;
