import type { Region } from "../fuse/region.ts";
import { add, div, type Index, indexText, int, mod, scale, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { always, settled } from "./agree.ts";
import { vectorsAlong } from "./contiguity.ts";
import { multiplyAdd, operandIndex, type Product, productOf, writeEpilogue } from "./contraction.ts";
import { type Emitter, lane, type Value } from "./emitter.ts";
import { closeFrame, type Kernel, openFrame } from "./kernel.ts";
import { ridesOn, writeSums } from "./riders.ts";
import { typeOf } from "./storage.ts";

const threads = 128;
const maxRows = 4;

/** A few rows times a matrix: every element of the matrix is read once, so only reading it fast counts. */
export function matvecFits(p: Product, region: Region, capabilities: Capabilities): boolean {
  return (
    always(region, p.m <= maxRows && p.k % 4 === 0 && p.n % 4 === 0) &&
    settled(region, "long", p.k >= 64) &&
    capabilities.limits.maxComputeInvocationsPerWorkgroup >= threads
  );
}

/**
 * Matrix-vector variant: a workgroup computes a vector of columns for all rows; its invocations share the K axis and
 * meet in workgroup memory. Where the matrix is contiguous along K, invocations walk along K with vector loads, else
 * along the columns.
 */
export function writeMatvec(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const p = productOf(region);
  const dtype = p.node.type.dtype;
  const vec = typeOf(dtype, 4);
  const k4 = add(scale(variable("probe_k", p.k / 4 - 1), 4), lane(4));
  const none = p.batch.map(() => int(0));
  const alongK = vectorsAlong(region, p.b, operandIndex(p.b, none, k4, variable("probe_n", Math.max(1, p.n - 1)))).unit;
  // Column vectors a workgroup: neighbours read neighbouring columns unless K is the contiguous axis.
  const vectors = alongK ? 1 : 8;
  const share = threads / vectors;
  const columns = p.n / 4;
  const blocks = Math.ceil(columns / vectors);
  const groups = blocks * p.batches;
  const g = e.index("g", Math.max(0, groups - 1), "group");
  const batch = unravel(div(g, blocks), p.batch);
  e.line(`let slot = lid % ${vectors}u;`);
  e.line(`let part = lid / ${vectors}u;`);
  const first = scale(mod(g, blocks), vectors);
  const vector =
    vectors === 1 ? first : e.index("vector", columns - 1, `min(${indexText(first)} + slot, ${columns - 1}u)`);
  // The sums of B's columns are one more row, of ones.
  const rides = ridesOn(region, "b");
  const acc = Array.from({ length: p.m + (rides ? 1 : 0) }, () => {
    const name = e.fresh("acc");
    e.line(`var ${name} = ${vec}();`);
    return name;
  });
  (alongK ? walkDepth : walkColumns)(e, p, batch, vector, acc, share);

  const shared = acc.map((name, i) => {
    e.line(`sh${i}[lid] = ${name};`);
    return `sh${i}`;
  });
  e.line("workgroupBarrier();");
  for (let step = share / 2; step >= 1; step /= 2) {
    e.open(`if (part < ${step}u) {`);
    for (const s of shared) e.line(`${s}[lid] = ${s}[lid] + ${s}[lid + ${step * vectors}u];`);
    e.close();
    e.line("workgroupBarrier();");
  }
  const guard = always(region, columns % vectors === 0)
    ? "part == 0u"
    : `part == 0u && ${indexText(first)} + slot < ${columns}u`;
  e.open(`if (${guard}) {`);
  e.width = 4;
  shared.forEach((s, i) => {
    const value = e.let(`${s}[lid]`, 4, dtype);
    const column = add(scale(vector, 4), lane(4));
    if (i === p.m) writeSums(frame, "b", column, value);
    else writeEpilogue(frame, p, [...batch, int(i), column], value);
  });
  e.close();
  return closeFrame(frame, {
    variant: `matvec_${alongK ? "k" : "n"}`,
    workgroupSize: [threads, 1, 1],
    groups,
    declarations: shared.map((s) => `var<workgroup> ${s}: array<${vec}, ${threads}>;`),
    workgroupBytes: shared.length * threads * 16,
  });
}

function walkColumns(
  e: Emitter,
  p: Product,
  batch: readonly Index[],
  vector: Index,
  acc: readonly string[],
  share: number,
): void {
  const dtype = p.node.type.dtype;
  e.open(`for (var k = part; k < ${p.k}u; k += ${share}u) {`, ["k"]);
  const k = variable("k", p.k - 1);
  e.width = 4;
  const b = wide(e.value(p.b, operandIndex(p.b, batch, k, add(scale(vector, 4), lane(4)))), typeOf(dtype, 4));
  acc.forEach((name, i) => {
    const a = i === p.m ? e.literal(1, dtype) : e.value(p.a, operandIndex(p.a, batch, int(i), k));
    e.line(`${name} = ${multiplyAdd(dtype, `${typeOf(dtype, 4)}(${a.text})`, b, name)};`);
  });
  e.close();
}

function walkDepth(
  e: Emitter,
  p: Product,
  batch: readonly Index[],
  vector: Index,
  acc: readonly string[],
  share: number,
): void {
  const dtype = p.node.type.dtype;
  e.open(`for (var k = part; k < ${p.k / 4}u; k += ${share}u) {`, ["k"]);
  const k = add(scale(variable("k", p.k / 4 - 1), 4), lane(4));
  e.width = 4;
  const vec = typeOf(dtype, 4);
  const columns = Array.from({ length: 4 }, (_, c) =>
    wide(e.value(p.b, operandIndex(p.b, batch, k, add(scale(vector, 4), int(c)))), vec),
  );
  acc.forEach((name, i) => {
    const a = wide(i === p.m ? e.literal(1, dtype) : e.value(p.a, operandIndex(p.a, batch, int(i), k)), vec);
    e.line(`${name} = ${name} + ${vec}(${columns.map((b) => `dot(${a}, ${b})`).join(", ")});`);
  });
  e.close();
}

const wide = (v: Value, type: string): string => (v.width === 4 ? v.text : `${type}(${v.text})`);
