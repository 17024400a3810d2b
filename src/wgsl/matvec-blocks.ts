import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import { operandIndex, type Product } from "./contraction.ts";
import { type Emitter, lane, type Value } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel } from "./kernel.ts";
import { finish } from "./matvec-finish.ts";
import { factorOf, type Packed, packedAlong, provideWords, wordsAt } from "./matvec-packed.ts";
import { isPlain, type Staged, writePrologue } from "./matvec-prologue.ts";
import { spreadOf, unpackFast } from "./matvec-unpack.ts";
import { innerProduct } from "./matvec-walk.ts";
import { ridesOn } from "./riders.ts";
import type { Binding } from "./storage.ts";
import { typeOf } from "./storage.ts";

/** How the columns of a packed matrix are spread over invocations that keep a block of K each. */
export interface BlockSchedule {
  /** Columns that a workgroup walks along at the same time: of each, every block of K has its invocation. */
  readonly teams: number;
  /** Columns an invocation walks along, one after the other. */
  readonly columns: number;
  /** Columns whose words are loaded together; divides `columns`. */
  readonly together: number;
}

/** Values of the rows that an invocation may hold in registers. */
const mostHeld = 64;

interface Shape {
  /** The words of each product's matrix. */
  readonly packed: readonly Packed[];
  /** Elements of K that four words hold. */
  readonly unit: number;
  readonly blocks: number;
}

/** What the writer needs to know of products, if it can write them. */
function shapeFor(frame: Pick<Frame, "region" | "capabilities">, products: readonly Product[]): Shape | undefined {
  const { region, capabilities } = frame;
  const [p] = products as [Product];
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  if (halfWords || region.uniform || ridesOn(region, "b") || p.node.type.dtype !== "f32") return undefined;
  const none = p.batch.map(() => int(0));
  const packed: Packed[] = [];
  for (const { b } of products) {
    const own = packedAlong(frame, b, (k) => operandIndex(b, none, k, int(0)), p.k);
    if (!own || (packed[0] && own.unit !== packed[0].unit)) return undefined;
    packed.push(own);
  }
  const { unit } = packed[0] as Packed;
  const blocks = p.k / unit;
  const { maxComputeInvocationsPerWorkgroup: most } = capabilities.limits;
  if (p.m * unit > mostHeld || blocks < leastBlocks || blocks > most) return undefined;
  return { packed, unit, blocks };
}
/** With fewer blocks other kernels have as few steps. */
const leastBlocks = 16;

/**
 * Packed matrices along K: an invocation has one block of K, whose part of the rows it keeps, and walks along columns. So the words of
 * many columns are under way at the same time, and neighbours read neighbouring words; the sums of a column's invocations
 * meet at the end, in workgroup memory.
 */
export function writeBlocks(frame: Frame, products: readonly Product[], s: BlockSchedule): Kernel {
  const { e } = frame;
  const [p] = products as [Product];
  const { packed, unit, blocks } = shapeFor(frame, products) as Shape;
  const threads = s.teams * blocks;
  const each = s.teams * s.columns;
  const perBatch = Math.ceil(p.n / each);
  const groups = perBatch * p.batches;
  const g = e.index("g", groups - 1, "group");
  const batch = unravel(div(g, perBatch), p.batch);
  const first = scale(mod(g, perBatch), each);
  const team = s.teams === 1 ? int(0) : e.index("team", s.teams - 1, `lid / ${blocks}u`);
  const block = e.index("block", blocks - 1, s.teams === 1 ? "lid" : `lid % ${blocks}u`);
  const chunk = { frame, products, packed, unit, batch, block };
  const columnsAt = (c: Index): readonly Index[] =>
    Array.from({ length: s.together }, (_, i) => {
      const column = add(add(first, team), scale(add(c, int(i)), s.teams));
      // The last ones compute others' columns again rather than read past the end.
      return p.n % each === 0 ? column : e.opaque(`min(${indexText(column)}, ${p.n - 1}u)`, p.n - 1, e.depth);
    });
  const begun = loadAll(placesOf(chunk, columnsAt(int(0))));
  const sums = products.length * p.m * threads;
  const room = frame.capabilities.limits.maxComputeWorkgroupStorageSize - bytesOf(products, s, threads) - 2048;
  const spread = spreadOfAll(chunk, columnsAt(int(0))[0] as Index);
  const times = spread && `vec4<f32>(${spread.map((s) => `${2 ** -s}f`).join(", ")})`;
  const staged = writePrologue(frame, p, batch, threads, unit, room, { times });
  const rows = fourOf({ ...chunk, staged }, times);
  const store = (c: Index, columns: Columns): void => {
    sumColumns({ ...chunk, rows, spread }, columns).forEach((texts, i) => {
      texts.forEach((text, q) => {
        const at = add(scale(add(c, int(i)), sums), add(int(q * threads), variable("lid", threads - 1)));
        e.line(`sums[${indexText(at)}] = ${text};`);
      });
    });
  };
  if (s.together === s.columns) store(int(0), begun);
  else {
    const kept = begun.map((list) => list.map((column) => keep(e, column)));
    const c = e.fresh("c");
    const last = s.columns - s.together;
    const taken = (at: Index): Columns =>
      placesOf(chunk, columnsAt(at)).map((list, t) =>
        list.map((place, i) => ({ ...place, ...take(e, kept[t]![i] as Kept) })),
      );
    e.open(`for (var ${c} = 0u; ${c} < ${last}u; ${c} += ${s.together}u) {`, [c]);
    const at = variable(c, last - s.together);
    const own = taken(at);
    loadAll(placesOf(chunk, columnsAt(add(at, int(s.together))))).forEach((list, t) => {
      list.forEach(({ value, factor }, i) => {
        const into = kept[t]![i] as Kept;
        e.line(`${into.value.text} = ${value.text};`);
        if (factor) e.line(`${into.factor?.text} = ${factor.text};`);
      });
    });
    store(at, own);
    e.close();
    store(int(last), taken(int(last)));
  }
  const totals = meetBlocks(frame, products, s, blocks);
  e.open(`if (lid < ${each}u) {`);
  const column = add(first, e.index("own", each - 1, "lid"));
  if (p.n % each !== 0) e.open(`if (${indexText(column)} < ${p.n}u) {`);
  e.width = 1;
  const scaled = totals().map((list) =>
    list.map((text, i) => (staged.factor ? e.let(`${text} * ${staged.factor(i)}`, 1, "f32").text : text)),
  );
  finish(frame, products, batch, column, scaled);
  if (p.n % each !== 0) e.close();
  e.close();
  return closeFrame(frame, {
    variant: "matvec_b",
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: [...staged.declarations, `var<workgroup> sums: array<f32, ${bytesOf(products, s, threads) / 4}>;`],
    workgroupBytes: staged.bytes + bytesOf(products, s, threads),
    subgroups: staged.usesSubgroups,
  });
}

const bytesOf = (products: readonly Product[], s: BlockSchedule, threads: number): number =>
  s.columns * products.length * (products[0] as Product).m * threads * 4;

interface Chunk {
  readonly frame: Frame;
  readonly products: readonly Product[];
  readonly packed: readonly Packed[];
  readonly unit: number;
  readonly batch: readonly Index[];
  readonly block: Index;
}

/** A column of one product at an invocation's block: where its words are, and how they are read. */
interface Place {
  readonly begin: Index;
  /** Writes the load of the words. */
  readonly load: () => Value;
  /** Writes that of what their sum is multiplied by. */
  readonly scale: (() => Value) | undefined;
  /** Four elements, without the factor, once the words are provided. */
  readonly of: (four: Index) => Value;
}

interface Kept {
  readonly value: Value;
  readonly factor: Value | undefined;
}

type Column = Place & Kept;
/** Of each product those of each column. */
type Columns = readonly (readonly Column[])[];

function placesOf(
  { frame: { e }, frame, products, packed, unit, batch, block }: Chunk,
  columns: readonly Index[],
): readonly (readonly Place[])[] {
  return products.map(({ b }, t) => {
    const own = packed[t] as Packed;
    const { words } = own;
    return columns.map((column): Place => {
      const at = (k: Index): readonly Index[] => operandIndex(b, batch, k, column);
      const begin = wordsAt(frame, own, b, at, block);
      const f = factorOf(b, at, scale(block, unit), unit);
      return {
        begin,
        load: () => e.let(e.storage.load(e.boundTo(words) as Binding, begin, 4), 4, words.type.dtype),
        scale: f && (() => e.value(f.factor, f.factorAt)),
        of: (four) => (f ? e.value(f.rest, f.restAt(four)) : e.value(b, at(four))),
      };
    });
  });
}

const loadAll = (places: readonly (readonly Place[])[]): Columns =>
  places.map((list) => list.map((place) => ({ ...place, value: place.load(), factor: place.scale?.() })));

/** A column's loads as variables, which the next column's take the place of. */
function keep(e: Emitter, { value, factor }: Kept): Kept {
  const declare = (v: Value): Value => {
    const name = e.fresh("next");
    e.line(`var ${name} = ${v.text};`);
    return { ...v, text: name };
  };
  return { value: declare(value), factor: factor && declare(factor) };
}

const take = (e: Emitter, { value, factor }: Kept): Kept => ({
  value: e.let(value.text, value.width, value.dtype),
  factor: factor && e.let(factor.text, factor.width, factor.dtype),
});

/** Four neighbours of a row within an invocation's block, times a vector if one is given: the `j`-th four. */
type Fours = (row: number, j: number) => string;

function fourOf(
  { frame: { e }, products, unit, batch, block, staged }: Chunk & { readonly staged: Staged },
  times: string | undefined,
): Fours {
  const [p] = products as [Product];
  if (staged.four) return (row, j) => e.let(staged.four!(row, block, j), 4, "f32").text;
  e.width = 4;
  const texts = Array.from({ length: p.m }, (_, row) =>
    Array.from({ length: unit / 4 }, (__, j) => {
      const four = add(scale(block, unit), add(int(4 * j), lane(4)));
      const v = e.value(p.a, operandIndex(p.a, batch, int(row), four));
      return times ? e.let(`${wide(v)} * ${times}`, 4, "f32").text : wide(v);
    }),
  );
  e.width = 1;
  return (row, j) => texts[row]![j] as string;
}

const wide = (v: Value): string => (v.width === 4 ? v.text : `${typeOf("f32", 4)}(${v.text})`);

/** How the numbers of all products lie in their words, where they do so in the same way. */
function spreadOfAll({ products, batch, block, unit }: Chunk, column: Index): readonly number[] | undefined {
  const begin = scale(block, unit);
  const [first, ...others] = products.map(({ b }) => {
    const at = (k: Index): readonly Index[] => operandIndex(b, batch, k, column);
    const f = factorOf(b, at, begin, unit);
    return f ? spreadOf(f.rest, f.restAt, begin, unit) : spreadOf(b, at, begin, unit);
  });
  return others.every((o) => o?.join() === first?.join()) ? first : undefined;
}

interface Summing extends Chunk {
  readonly rows: Fours;
  readonly spread: readonly number[] | undefined;
}

/** Texts of the sums over an invocation's block: for each column those of each product, row by row. */
function sumColumns(
  { frame, products, packed, unit, block, rows, spread }: Summing,
  loaded: Columns,
): readonly (readonly string[])[] {
  const { e } = frame;
  const [p] = products as [Product];
  const undo = [...new Set(packed.map(({ words }) => words))].map((words) => {
    const own = loaded.filter((_, t) => packed[t]?.words === words).flat();
    provideWords(frame, words, own);
    return () => e.withdraw(words);
  });
  undo.push(...products.map(({ b }) => unpackFast(e, b, spread)));
  const declare = (): string => {
    const name = e.fresh("acc");
    e.line(`var ${name} = 0.0f;`);
    return name;
  };
  const sums = loaded.map((list) => list.map(() => Array.from({ length: p.m }, declare)));
  e.width = 4;
  for (let j = 0; j < unit / 4; j++) {
    const four = add(scale(block, unit), add(int(4 * j), lane(4)));
    const own = Array.from({ length: p.m }, (_, i) => rows(i, j));
    loaded.forEach((list, t) => {
      list.forEach((column, c) => {
        const values = wide(column.of(four));
        own.forEach((row, i) => {
          const into = sums[t]![c]![i] as string;
          e.line(`${into} = ${innerProduct({ frame }, "f32", row, values, into)};`);
        });
      });
    });
  }
  e.width = 1;
  for (const u of undo) u();
  return (loaded[0] as Column[]).map((_, c) =>
    loaded.flatMap((list, t) => {
      const { factor } = list[c] as Column;
      return (sums[t]![c] as string[]).map((name) => (factor ? `${name} * ${factor.text}` : name));
    }),
  );
}

/**
 * Adds up the sums of each column's invocations: by several invocations a column, then by one, that of the column's number.
 * Returns what writes the second half: the totals of each product, row by row.
 */
function meetBlocks(
  { e }: Frame,
  products: readonly Product[],
  { teams, columns }: BlockSchedule,
  blocks: number,
): () => readonly (readonly string[])[] {
  const { m } = products[0] as Product;
  const threads = teams * blocks;
  const each = teams * columns;
  const values = products.length * m;
  const share = 2 ** Math.floor(Math.log2(threads / each));
  const rounds = Math.floor(blocks / share);
  e.line("workgroupBarrier();");
  e.line(`let part = lid % ${share}u;`);
  e.line(`let slot = min(lid / ${share}u, ${each - 1}u);`);
  e.line(`let sums_at = slot / ${teams}u * ${values * threads}u + slot % ${teams}u * ${blocks}u + part;`);
  const parts = Array.from({ length: values }, (_, q) => {
    const name = e.fresh("part");
    const terms = Array.from({ length: rounds }, (_, i) => `sums[sums_at + ${q * threads + i * share}u]`);
    e.line(`var ${name} = ${pairwise(terms)};`);
    const rest = blocks - rounds * share;
    if (rest) e.line(`if (part < ${rest}u) { ${name} += sums[sums_at + ${q * threads + rounds * share}u]; }`);
    return name;
  });
  e.line("workgroupBarrier();");
  e.open(`if (lid < ${each * share}u) {`);
  parts.forEach((name, q) => {
    e.line(`sums[part * ${each}u + slot + ${q * threads}u] = ${name};`);
  });
  e.close();
  e.line("workgroupBarrier();");
  // What Tint can prove to be in range.
  e.line(`let own_slot = min(lid, ${each - 1}u);`);
  return () => {
    const total = (q: number): string => {
      const terms = Array.from({ length: share }, (_, i) => `sums[own_slot + ${i * each + q * threads}u]`);
      return e.let(pairwise(terms), 1, "f32").text;
    };
    return products.map((_, t) => Array.from({ length: m }, (_, i) => total(t * m + i)));
  };
}

/** A sum of terms as a tree, whose rounding errors grow with its depth. */
function pairwise(terms: readonly string[]): string {
  if (terms.length === 1) return terms[0] as string;
  const half = terms.length >> 1;
  return `(${pairwise(terms.slice(0, half))} + ${pairwise(terms.slice(half))})`;
}

/** Invocations in all that fill a large GPU, where each needs few registers. */
const enough = 160_000;
/** Workgroups that give every multiprocessor of one at least one. */
const enoughGroups = 256;

/**
 * The ways to spread the columns, the one that is taken where nothing is measured first. Rows that the workgroup computes lie
 * in workgroup memory: many small invocations, that load a column ahead. Rows that are only read are kept in registers, and
 * so are the words of all columns.
 */
export function blockSchedules(
  frame: Pick<Frame, "region" | "capabilities">,
  products: readonly Product[],
): readonly BlockSchedule[] {
  const shape = shapeFor(frame, products);
  if (!shape) return [];
  const { blocks } = shape;
  const { maxComputeInvocationsPerWorkgroup: most, maxComputeWorkgroupStorageSize: room } = frame.capabilities.limits;
  const [p] = products as [Product];
  const teamsOf = (threads: number): number => Math.max(1, Math.floor(Math.min(most, threads) / blocks));
  const columns = p.n * p.batches;
  const walked = (threads: number, wanted: number): BlockSchedule => ({
    ...{ teams: teamsOf(threads), columns: Math.max(1, Math.min(16, wanted)), together: 1 },
  });
  const held = (threads: number, wanted: number): BlockSchedule => {
    const own = Math.max(1, Math.min(10, wanted));
    return { teams: teamsOf(threads), columns: own, together: own };
  };
  const ahead = [640, 320].flatMap((threads) =>
    [1, 2, 0.5].map((by) => walked(threads, Math.round((by * columns * blocks) / enough))),
  );
  const atOnce = [320, 640].flatMap((threads) =>
    [1, 2, 0.5].map((by) => held(threads, Math.floor((by * columns) / (teamsOf(threads) * enoughGroups)))),
  );
  const list = [...(isPlain(frame, p.a) ? [...atOnce, ...ahead] : [...ahead, ...atOnce]), walked(320, 3), held(320, 3)];
  const fits = (s: BlockSchedule): boolean =>
    s.teams * s.columns <= Math.min(p.n, s.teams * blocks) && bytesOf(products, s, s.teams * blocks) + 4096 <= room;
  return [...list, walked(blocks, 1)].filter(fits);
}
