import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Graph } from "../../src/ir/graph.ts";
import { parse } from "../../src/ir/parse.ts";
import { print } from "../../src/ir/print.ts";
import { projectRoot } from "../support/shared.ts";
import { benignInputs } from "../support/values.ts";
import type { Inputs } from "./check-graph.ts";

const folder = `${projectRoot}/test/properties/corpus`;

export interface CorpusEntry {
  readonly name: string;
  readonly graph: Graph;
  readonly inputs: Inputs;
}

/** Graphs that failed once, smallest form: text with the seed of their inputs in the first line, `; seed 12`. */
export function readCorpus(): CorpusEntry[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".tir"))
    .sort()
    .map((name) => {
      const text = readFileSync(`${folder}/${name}`, "utf8");
      const seed = /^; seed (\d+)$/m.exec(text)?.[1];
      if (seed === undefined) throw new Error(`${name} has no line "; seed …"`);
      const graph = parse(text);
      return { name, graph, inputs: benignInputs(graph, Number(seed)) };
    });
}

/** Keeps a failing graph; gives the file's name. */
export function keep(graph: Graph, seed: number, why: string): string {
  const text = `; seed ${seed}\n; ${why.split("\n")[0]}\n${print(graph)}`;
  const name = `${createHash("sha256").update(print(graph)).digest("hex").slice(0, 12)}.tir`;
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/${name}`, text);
  return name;
}
