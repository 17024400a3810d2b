import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { profiles, tensor } from "sinter";
import { adamWInit } from "sinter/nn";
import { afterAll, describe, expect, test } from "vitest";
import { fingerprint, loadCheckpoint, saveCheckpoint } from "../../examples/train/checkpoint.ts";
import { defaults, type Options, parseOptions } from "../../examples/train/cli.ts";
import { type History, recent, smoothed } from "../../examples/train/history.ts";
import { modelOf, trainingStep } from "../../examples/train/model.ts";
import { reportPage } from "../../examples/train/report.ts";
import { type Figures, minutes, summary } from "../../examples/train/summary.ts";
import {
  batches,
  bigramLoss,
  encode,
  end,
  letter,
  likenessTo,
  loadWords,
  padding,
  splitWords,
  toBatch,
} from "../../examples/train/words.ts";

const folder = mkdtempSync(join(tmpdir(), "sinter-train-"));
afterAll(() => rmSync(folder, { recursive: true }));

const parse = (line: string) => parseOptions(line.split(" ").filter(Boolean)) as Options;

describe("options of demo:train", () => {
  test("defaults, and each part of the recipe", () => {
    expect(parse("").recipe).toEqual(defaults);
    const line = "--steps 9 --batch 3 --lr 1e-2 --warmup 2 --layers 1 --width 24 --heads 3 --length 9 --seed 0";
    expect(parse(line).recipe).toEqual({
      ...{ steps: 9, batch: 3, lr: 0.01, warmup: 2, layers: 1, width: 24, heads: 3, length: 9, seed: 0 },
    });
  });

  test("the warm-up takes a quarter of a short run", () => {
    expect(parse("--steps 12").recipe.warmup).toBe(3);
    expect(parse("--steps 2").recipe.warmup).toBe(1);
  });

  test("--resume takes a file or none", () => {
    expect(parse("").resume).toBeUndefined();
    expect(parse("--resume").resume).toBe("");
    expect(parse("--resume --json")).toMatchObject({ resume: "", json: true });
    expect(parse("--resume a.safetensors --out b")).toMatchObject({ resume: "a.safetensors", out: "b" });
  });

  test.each([
    ["--steps 0", '--steps is "0", but must be a whole number from 1 on'],
    ["--steps 1", "--warmup is 1, but must be less than --steps 1"],
    ["--lr zero", '--lr is "zero", but must be a number above 0'],
    ["--temperature=-1", '--temperature is "-1", but must be a number above 0'],
    ["--heads 3", "--heads is 3, which does not divide --width 128"],
    ["--warmup 300", "--warmup is 300, but must be less than --steps 300"],
    ["--length 3", "--length is 3, but must be at least 4"],
    ["--resume --layers 2", "--layers cannot go with --resume: the checkpoint says how the run goes on"],
    ["words.txt", '"words.txt" is no option'],
    ["--speed 9", "Unknown option '--speed'"],
  ])("%s is refused", (line, why) => {
    expect(parseOptions(line.split(" "))).toBe(why);
  });
});

describe("words", () => {
  const list = Array.from({ length: 400 }, (_, i) => `w${letter(1 + (i % 26))}${letter(1 + Math.floor(i / 26))}`);

  test("the package's words, and lists in files", () => {
    expect(loadWords().length).toBeGreaterThan(250_000);
    const file = join(folder, "words.txt");
    writeFileSync(file, `${list.join("\n")}\n`);
    expect(loadWords(file)).toEqual(list);
    writeFileSync(file, JSON.stringify([...list, "wab"]));
    expect(loadWords(file)).toEqual(list);
  });

  test.each([
    ["Ab ".repeat(30), /holds "Ab"/],
    ["a b", /holds 2 words/],
    ["[1, 2", /is no JSON list/],
  ])("%j is refused", (text, why) => {
    const file = join(folder, "bad.txt");
    writeFileSync(file, text);
    expect(() => loadWords(file)).toThrow(why);
  });

  test("a file that is not there is refused", () => {
    expect(() => loadWords(join(folder, "none.txt"))).toThrow(/cannot be read/);
  });

  test("the split loses no word that fits and shares none", () => {
    const { train, heldOut, tooLong } = splitWords([...list, "verylongword"], 5);
    expect(tooLong).toBe(1);
    expect(heldOut).toHaveLength(40);
    expect([...train, ...heldOut].sort()).toEqual([...list].sort());
  });

  test("a batch holds one word a row, its end as last target", () => {
    const { tokens, targets, count } = toBatch(["cab", "z"], 5);
    expect([...tokens]).toEqual([end, 3, 1, 2, end, end, 26, end, end, end]);
    expect([...targets]).toEqual([3, 1, 2, end, padding, 26, end, padding, padding, padding]);
    expect(count).toBe(6);
  });

  test("an epoch shows every word once, in an order of its own, whatever step is asked for first", () => {
    const epoch = (of: ReturnType<typeof batches>, n: number): string[] =>
      Array.from({ length: 100 }, (_, i) => of(100 * n + i)).flatMap((b) =>
        Array.from({ length: 4 }, (_, row) => [...b.tokens.slice(row * 4 + 1, row * 4 + 4)].map(letter).join("")),
      );
    const [first, second] = [epoch(batches(list, 4, 4, 7), 0), epoch(batches(list, 4, 4, 7), 1)];
    expect([...first].sort()).toEqual([...list].sort());
    expect([...second].sort()).toEqual([...list].sort());
    expect(second).not.toEqual(first);
    expect(epoch(batches(list, 4, 4, 8), 0)).not.toEqual(first);
    const later = batches(list, 4, 4, 7);
    later(150);
    expect(later(3)).toEqual(batches(list, 4, 4, 7)(3));
  });

  test("the bigram loss is the entropy of a character after the one before", () => {
    // After the beginning and after a, two equally likely characters; after b the end.
    expect(bigramLoss(["ab", "b", "a", "b"])).toBeCloseTo((4 * Math.log(2) + 2 * Math.log(2)) / 9, 12);
  });

  test("likeness counts trigrams and words of the list", () => {
    const like = likenessTo(["abcd", "bcx"]);
    expect(like(["abcx", "abcd", "zz"])).toEqual({ trigrams: 1, words: 1 / 3 });
    expect(like(["xyz", "abc"])).toEqual({ trigrams: 0.5, words: 0 });
  });

  test("letters and tokens are inverse", () => expect(encode("azq").map(letter).join("")).toBe("azq"));
});

const recipe = { ...defaults, layers: 1, width: 8, heads: 2, batch: 2, length: 6, steps: 30, warmup: 2 };
const history: History = {
  losses: Array.from({ length: 30 }, (_, i) => 3.3 - i / 40),
  evaluations: [{ step: 30, seconds: 62, heldOut: 2.6, trigrams: 0.9, words: 0.25, samples: ["cab", "<b>xq"] }],
  seconds: 62,
  characters: 5000,
};

describe("checkpoints", () => {
  test("what is saved is read back", async () => {
    const model = modelOf(recipe);
    const params = model.init({ seed: 3 });
    const names = trainingStep(model, recipe).graph.inputs.filter((n) => n.attrs.role === "state");
    const path = join(folder, "c.safetensors");
    const words = fingerprint(["a", "b"]);
    const hostly = (tree: unknown, spec: unknown): unknown =>
      tree instanceof Float32Array
        ? tensor(tree, (spec as { shape: number[] }).shape)
        : Object.assign(
            Array.isArray(tree) ? [] : {},
            Object.fromEntries(
              Object.entries(tree as object).map(([k, v]) => [k, hostly(v, (spec as Record<string, unknown>)[k])]),
            ),
          );
    const trees = { params: hostly(params, model.params) as never };
    const state = { ...trees, opt: { ...adamWInit(trees.params), step: tensor([30], [], "i32") } as never };
    await saveCheckpoint(path, { recipe, history, words, state });
    const read = await loadCheckpoint(path);
    expect(read.recipe).toEqual(recipe);
    expect(read.words).toBe(words);
    expect(read.history).toEqual({ ...history, losses: history.losses.map(Math.fround) });
    expect(read.state.params).toEqual(trees.params);
    expect(read.state.opt.step.data).toEqual(Int32Array.of(30));
    // The file names what the state of the program is called, with the parameters as transformers calls them.
    const text = readFileSync(path).toString("latin1");
    for (const n of names) expect(text).toContain(`"${String(n.attrs.name).replace(/^params\./, "")}"`);
  });

  test("another safetensors file is refused", async () => {
    const path = join(folder, "other.safetensors");
    const header = JSON.stringify({ x: { dtype: "F32", shape: [1], data_offsets: [0, 4] } }).padEnd(64);
    const size = new Uint8Array(new BigUint64Array([BigInt(header.length)]).buffer);
    writeFileSync(path, Buffer.concat([size, Buffer.from(header), Buffer.alloc(4)]));
    await expect(loadCheckpoint(path)).rejects.toThrow(/no checkpoint of this demo/);
  });
});

describe("the report", () => {
  const figures: Figures = {
    ...{ adapter: "lavapipe: <llvmpipe>", recipe, parameters: 1234, checkpoint: "out/c.safetensors", characters: 5000 },
    ...{ words: { learned: 300, held_out: 40, too_long: 1 }, compile_s: 3.21, train_s: 62, tokens_per_s: 80.6 },
    ...{ loss: 2.6, bigram_loss: 2.51, trigram_share: 0.9, word_share: 0.25, samples: ["cab"] },
    ...{ dispatches: 40, pipelines: 30, planned_bytes: 2 ** 20 },
  };
  const program = trainingStep(modelOf(recipe), recipe);
  const capabilities = profiles.base;
  const page = reportPage({
    figures,
    history,
    explained: program.explain({ capabilities }),
    memory: program.memory({ capabilities }),
    isWord: (w) => w === "cab",
  });

  test("is well-formed, and no text of elsewhere becomes markup", () => {
    expect(page).not.toContain("<llvmpipe>");
    expect(page).toContain("&#60;b&#62;xq");
    const open: string[] = [];
    const body = page.replace(/<!doctype html>|<style>[\s\S]*?<\/style>/g, "");
    for (const [, closing, name, own] of body.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^<>]*?(\/?)>/gi)) {
      if (own || name === "meta") continue;
      if (closing) expect(open.pop()).toBe(name);
      else open.push(name as string);
    }
    expect(open).toEqual([]);
  });

  test("shows the loss curve, the samples, every kind of kernel, and the memory", () => {
    expect(page.match(/class="raw" d="([^"]*)"/)?.[1]?.match(/[ML]/g)).toHaveLength(history.losses.length);
    expect(page).toContain('<span class="word known">cab</span>');
    const { kernels } = program.explain({ capabilities });
    const shown = [...page.matchAll(/<td class="n">(\d+)×<\/td>/g)].reduce((n, m) => n + Number(m[1]), 0);
    expect(shown).toBe(kernels.length);
    expect(page).toContain('aria-label="Memory over one run"');
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("the summary names loss, shares and files", () => {
    const text = summary(figures, "out/report.html");
    expect(text).toContain("2.600 nats a character of 40 words");
    expect(text).toContain("90 % of their letter trigrams");
    expect(text).toContain("out/report.html");
  });
});

test("smoothing keeps a constant, and follows", () => {
  expect(smoothed([2, 2, 2])).toEqual([2, 2, 2].map((x) => expect.closeTo(x, 12)));
  expect(smoothed([0, 1], 0.5)[1]).toBeCloseTo(2 / 3, 12);
  expect(recent([9, 1, 2], 2)).toBe(1.5);
  expect(minutes(125.4)).toBe("2:05");
});
