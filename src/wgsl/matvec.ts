import { fewRows } from "../fuse/prologue.ts";
import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { add, div, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { always, settled } from "./agree.ts";
import { type Candidate, distinct } from "./candidate.ts";
import { vectorsAlong } from "./contiguity.ts";
import { operandIndex, type Product, productOf } from "./contraction.ts";
import { type Emitter, lane } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { type BlockSchedule, blockSchedules, writeBlocks } from "./matvec-blocks.ts";
import { finish } from "./matvec-finish.ts";
import { prologueOf, type Staged, writePrologue } from "./matvec-prologue.ts";
import { type ColumnSchedule, columnSchedule, type DepthSchedule, depthSchedule } from "./matvec-schedule.ts";
import { updatesOf } from "./matvec-updates.ts";
import { prefetchWords, unitOf, walkColumns, walkDepth } from "./matvec-walk.ts";
import { ridesOn } from "./riders.ts";
import { typeOf } from "./storage.ts";

/** Must the region be computed by this kernel: does it hold what no other one computes? */
export const needsMatvec = (region: Region): boolean =>
  region.anchors.filter((n) => n.op === "matmul").length > 1 ||
  updatesOf({ region }).length > 0 ||
  prologueOf({ region }, productOf(region).a).length > 0;

/** A few rows times a matrix: every element of the matrix is read once, so only reading it fast counts. */
export function matvecFits(p: Product, region: Region, { limits, features }: Capabilities): boolean {
  const halfWords = !features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  const columns = region.uniform || halfWords ? p.n % 4 === 0 : p.n > 0;
  return (
    always(region, p.m <= fewRows && p.k % 4 === 0 && columns) &&
    settled(region, "long", p.k >= 64) &&
    limits.maxComputeInvocationsPerWorkgroup >= 128
  );
}

/** Products of the region, all of the same sizes and the same first operand. */
function productsOf(region: Region): readonly Product[] {
  const first = productOf(region);
  const updates = new Set(updatesOf({ region }));
  const outputs = first.outputs.filter((n) => !updates.has(n));
  return region.anchors
    .filter((n) => n.op === "matmul")
    .map((node) => ({ ...first, node, b: node.args[1] as Node, outputs }));
}

/** Is the matrix contiguous along K? */
function liesAlongK(region: Region, p: Product): boolean {
  if (unitOf({ region }, p) > 4) return true;
  const k4 = add(scale(variable("probe_k", p.k / 4 - 1), 4), lane(4));
  const none = p.batch.map(() => int(0));
  return vectorsAlong(region, p.b, operandIndex(p.b, none, k4, variable("probe_n", Math.max(1, p.n - 1)))).unit;
}

/**
 * Matrix-vector variant: the invocations of a workgroup share the K axis and meet in workgroup memory. Where the matrix is
 * contiguous along K, a team of invocations walks along a few of its columns with vector loads; else neighbours read
 * neighbouring columns. Reductions along the rows of the first operand are computed by every workgroup for itself.
 */
function writeMatvec(
  region: Region,
  capabilities: Capabilities,
  given: {
    readonly depth?: DepthSchedule;
    readonly columns?: Omit<ColumnSchedule, "width">;
    readonly blocks?: BlockSchedule;
  } = {},
): Kernel {
  const frame = openFrame(region, capabilities);
  const products = productsOf(region);
  const [p] = products as [Product];
  const blocks =
    given.blocks ?? (given.depth || capabilities.software ? undefined : blockSchedules(frame, products)[0]);
  if (blocks) return writeBlocks(frame, products, blocks);
  const alongK = liesAlongK(region, p);
  return alongK
    ? writeAlongDepth(frame, products, { ...depthSchedule(frame, products, unitOf(frame, p)), ...given.depth })
    : writeAlongColumns(frame, products, { ...columnSchedule(frame, products), ...given.columns });
}

/** Schedules that are taken only where a tuning table names them: invocations, those that share a column, columns of each. */
const depths: readonly (readonly [number, number, number])[] = [
  [128, 32, 1],
  [128, 128, 4],
  [256, 16, 1],
  [256, 32, 1],
  [256, 32, 2],
  [256, 32, 4],
  [256, 64, 1],
  [256, 64, 4],
  [256, 128, 2],
  [256, 16, 2],
  [256, 64, 2],
  [512, 16, 1],
  [512, 32, 1],
  [512, 32, 2],
  [512, 32, 4],
  [512, 64, 1],
  [512, 64, 2],
  [512, 128, 1],
];

/** The same where columns are neighbours: invocations, vectors of columns. */
const widths: readonly (readonly [number, number])[] = [
  [128, 2],
  [128, 4],
  [128, 8],
  [256, 1],
  [256, 2],
  [256, 4],
  [256, 8],
  [256, 16],
  [512, 2],
  [512, 4],
  [512, 8],
];

/** The ways to write the kernel, that of {@link writeMatvec} first. */
export function matvecCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  const usual: Candidate = { name: "matvec", write: () => writeMatvec(region, capabilities) };
  const p = productOf(region);
  const halfWords = !capabilities.features.f16 && region.outputs.some((n) => n.type.dtype === "f16");
  if (region.uniform || halfWords) return [usual];
  const most = capabilities.limits.maxComputeInvocationsPerWorkgroup;
  if (liesAlongK(region, p))
    return distinct([
      usual,
      ...blockSchedules({ region, capabilities }, productsOf(region)).map((s) => ({
        name: `matvec_b_${s.teams}x${s.columns}x${s.together}`,
        write: () => writeMatvec(region, capabilities, { blocks: s }),
      })),
      ...depths
        .filter(([threads, lanes, rows]) => threads <= most && lanes <= threads && rows <= p.n)
        .map(([threads, lanes, rows]) => ({
          name: `matvec_k_${threads}x${lanes}x${rows}`,
          write: () => writeMatvec(region, capabilities, { depth: { threads, lanes, rows } }),
        })),
    ]);
  return [
    usual,
    ...widths
      .filter(([threads]) => threads <= most)
      .map(([threads, vectors]) => ({
        name: `matvec_n_${threads}x${vectors}`,
        write: () => writeMatvec(region, capabilities, { columns: { threads, vectors } }),
      })),
  ];
}

interface Tail {
  readonly variant: string;
  readonly threads: number;
  readonly groups: number;
  readonly staged: Staged;
  /** Type of the partial sums in workgroup memory. */
  readonly type: string;
  readonly bytes: number;
}

function close(frame: Frame, t: Tail): Kernel {
  return closeFrame(frame, {
    variant: t.variant,
    workgroupSize: [t.threads, 1, 1],
    groups: t.groups,
    declarations: [...t.staged.declarations, `var<workgroup> sums: array<${t.type}, ${t.threads}>;`],
    workgroupBytes: t.staged.bytes + t.threads * t.bytes,
    subgroups: t.staged.usesSubgroups,
  });
}

/** Workgroup memory that is left for the rows of the first operand. */
const roomFor = (frame: Frame, sums: number): number =>
  frame.capabilities.limits.maxComputeWorkgroupStorageSize - sums - 2048;

/**
 * Adds up partial sums of the `share` invocations that are `stride` apart, of one value an invocation; the first of them
 * has the total, which is returned as a name for all.
 */
function meet(e: Emitter, value: string, share: number, stride: number): string {
  e.line(`sums[lid] = ${value};`);
  e.line("workgroupBarrier();");
  for (let left = share; left > 1; ) {
    const by = left % 4 === 0 ? 4 : 2;
    left /= by;
    e.open(`if (part < ${left}u) {`);
    const others = Array.from({ length: by - 1 }, (_, i) => `sums[lid + ${(i + 1) * left * stride}u]`);
    const terms = ["sums[lid]", ...others];
    e.line(
      `sums[lid] = ${by === 4 ? `(${terms[0]} + ${terms[1]}) + (${terms[2]} + ${terms[3]})` : terms.join(" + ")};`,
    );
    e.close();
    e.line("workgroupBarrier();");
  }
  const name = e.fresh("total");
  e.line(`let ${name} = sums[lid];`);
  // The next sums take this one's place.
  e.line("workgroupBarrier();");
  return name;
}

function writeAlongDepth(frame: Frame, products: readonly Product[], s: DepthSchedule): Kernel {
  const { e, region } = frame;
  const [p] = products as [Product];
  const dtype = p.node.type.dtype;
  const { threads, lanes, rows } = s;
  const teams = threads / lanes;
  const each = teams * rows;
  const blocks = Math.ceil(p.n / each);
  const groups = blocks * p.batches;
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const batch = unravel(div(g, blocks), p.batch);
  const team = e.index("team", teams - 1, `lid / ${lanes}u`);
  e.line(`let part = lid % ${lanes}u;`);
  const begin = add(scale(mod(g, blocks), each), scale(team, rows));
  const whole = always(region, p.n % each === 0);
  // The last ones compute others' columns again rather than read past the end.
  const vectors = always(region, p.n % rows === 0);
  const text = indexText(begin);
  const first = whole
    ? begin
    : vectors
      ? scale(
          e.index(
            "vector",
            p.n / rows - 1,
            rows === 1 ? `min(${text}, ${p.n - 1}u)` : `min((${text}) / ${rows}u, ${p.n / rows - 1}u)`,
          ),
          rows,
        )
      : undefined;
  const columns = Array.from({ length: rows }, (_, r) =>
    first ? add(first, int(r)) : e.index(`column${r}`, p.n - 1, `min(${indexText(add(begin, int(r)))}, ${p.n - 1}u)`),
  );
  const start = { frame, products, batch, share: lanes, ones: ridesOn(region, "b") };
  const prefetch = prefetchWords(start, columns);
  const staged = writePrologue(frame, p, batch, threads, unitOf(frame, p), roomFor(frame, threads * 4 * rows));
  const sums = walkDepth({ ...start, staged }, columns, prefetch);
  const type = typeOf(dtype, rows);
  const totals = sums.map((list) =>
    list.map((row) => meet(e, rows === 1 ? (row[0] as string) : `${type}(${row.join(", ")})`, lanes, 1)),
  );
  e.open(whole ? "if (part == 0u) {" : `if (part == 0u && ${text} < ${p.n}u) {`);
  if (first) {
    e.width = rows;
    finish(frame, products, batch, add(first, lane(rows)), totals);
  } else {
    columns.forEach((column, r) => {
      e.open(`if (${indexText(add(begin, int(r)))} < ${p.n}u) {`);
      e.width = 1;
      finish(
        frame,
        products,
        batch,
        column,
        totals.map((list) => list.map((t) => (rows === 1 ? t : `${t}.${"xyzw"[r]}`))),
      );
      e.close();
    });
  }
  e.close();
  return close(frame, { variant: "matvec_k", threads, groups, staged, type, bytes: 4 * rows });
}

function writeAlongColumns(frame: Frame, products: readonly Product[], s: ColumnSchedule): Kernel {
  const { e, region } = frame;
  const [p] = products as [Product];
  const dtype = p.node.type.dtype;
  const { threads, vectors, width } = s;
  const share = threads / vectors;
  const columns = p.n / width;
  const blocks = Math.ceil(columns / vectors);
  const groups = blocks * p.batches;
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const batch = unravel(div(g, blocks), p.batch);
  const slot = e.index("slot", vectors - 1, `lid % ${vectors}u`);
  e.line(`let part = lid / ${vectors}u;`);
  const own = add(scale(mod(g, blocks), vectors), slot);
  const whole = always(region, columns % vectors === 0);
  const vector = whole ? own : e.index("vector", columns - 1, `min(${indexText(own)}, ${columns - 1}u)`);
  const column = width === 1 ? vector : add(scale(vector, width), lane(width));
  const start = { frame, products, batch, share, ones: ridesOn(region, "b") };
  const walk = walkColumns(start, column, width);
  const staged = writePrologue(frame, p, batch, threads, 1, roomFor(frame, threads * 4 * width));
  const sums = walk.finish({ ...start, staged });
  const totals = sums.map((list) => list.map(([name]) => meet(e, name as string, share, vectors)));
  e.open(whole ? "if (part == 0u) {" : `if (part == 0u && ${indexText(own)} < ${columns}u) {`);
  e.width = width;
  finish(frame, products, batch, column, totals);
  e.close();
  return close(frame, { variant: "matvec_n", threads, groups, staged, type: typeOf(dtype, width), bytes: 4 * width });
}
