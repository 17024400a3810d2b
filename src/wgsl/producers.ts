import type { DType } from "../base/dtype.ts";
import type { Node } from "../ir/graph.ts";
import {
  add,
  dependsOn,
  div,
  type Index,
  indexAlgebra,
  indexText,
  int,
  isInt,
  mod,
  ravel,
  sub,
} from "../ir/index-expr.ts";
import { halvesBlock, largestExponent, leastExponent, lowerWords, unscaleText, wordAt } from "../ir/ops/halves.ts";
import { rowOf } from "../ir/ops.ts";
import { dynamicStarts } from "./dynamic-starts.ts";
import type { Emitter, Value } from "./emitter.ts";
import { segmentSearch, segmentStarts, sharedByLanes } from "./segments.ts";

/** Rows that are neither elementwise nor kernels of their own: how their value at an index is written. */
export type Producer = (e: Emitter, node: Node, index: readonly Index[]) => Value;

const shapeOf = (n: Node): readonly number[] => n.type.shape as readonly number[];

export const producers: Readonly<Record<string, Producer>> = {
  const: (e, node) => e.literal(node.attrs.value as number, node.type.dtype),

  iota: (e, node, index) => {
    const at = index[node.attrs.axis as number] as Index;
    const dtype = node.type.dtype;
    return e.perLane([at], ([i]) => {
      const text = indexText(i as Index);
      return e.let(convertIndex(dtype, text), 1, dtype, e.depthOf([i as Index]));
    });
  },

  view: (e, node, index) => {
    const from = shapeOf(node.args[0] as Node);
    const at = rowOf(node.op).view!.map(indexAlgebra, index, { attrs: node.attrs, from, to: shapeOf(node) });
    return e.value(node.args[0] as Node, at);
  },

  pad: (e, node, index) => {
    const [x] = node.args as [Node];
    const from = shapeOf(x);
    const map = (at: readonly Index[]): Index[] =>
      rowOf("pad").view!.map(indexAlgebra, at, { attrs: node.attrs, from, to: shapeOf(node) });
    if (node.attrs.mode !== "constant") return e.value(x, map(index));
    const low = node.attrs.low as readonly number[];
    const padded = index.flatMap((at, i) => {
      const local = sub(at, int(low[i] as number));
      const inside = local.min >= 0 && local.max < (from[i] as number);
      return inside ? [] : [{ local, size: from[i] as number }];
    });
    const fill = e.literal(node.attrs.value as number, node.type.dtype);
    const write = (at: readonly Index[]): Value => {
      const guards = at.flatMap((a, i) => {
        const local = sub(a, int(low[i] as number));
        const inside = local.min >= 0 && local.max < (from[i] as number);
        // Below the low edge the difference wraps to a huge u32, so one comparison covers both edges.
        return inside ? [] : [`(${indexText(local)}) < ${from[i]}u`];
      });
      const inner = e.value(x, map(at));
      if (guards.length === 0) return inner;
      const ok = e.let(guards.join(" && "), 1, "bool", e.depthOf(at));
      return e.apply("where", [ok, inner, fill], node.type.dtype);
    };
    return padded.some((p) => dependsOn(p.local, "lane")) ? e.perLane(index, write) : write(index);
  },

  concat: (e, node, index) => {
    const axis = node.attrs.axis as number;
    const write = (at: readonly Index[]): Value => {
      const position = at[axis] as Index;
      let start = 0;
      const pieces = node.args
        .map((arg) => {
          const begin = start;
          start += shapeOf(arg)[axis] as number;
          return { arg, begin, end: start };
        })
        .filter((p) => p.end > p.begin && position.max >= p.begin && position.min < p.end);
      const read = (p: { arg: Node; begin: number }): Value =>
        e.value(
          p.arg,
          at.map((a, i) => (i === axis ? sub(a, int(p.begin)) : a)),
        );
      // Nothing reads an element of an empty result, though a pad around it may be written as if.
      if (pieces.length === 0) return e.literal(0, node.type.dtype);
      let out = read(pieces[pieces.length - 1] as (typeof pieces)[0]);
      for (const p of pieces.slice(0, -1).reverse()) {
        const here = e.let(`${indexText(position)} < ${p.end}u`, 1, "bool", e.depthOf([position]));
        out = e.apply("where", [here, read(p), out], node.type.dtype);
      }
      return out;
    };
    return dependsOn(index[axis] as Index, "lane") ? e.perLane(index, write) : write(index);
  },

  segments: (e, node, index) => {
    const starts = segmentStarts(node);
    return e.perLane(sharedByLanes(starts, index, e.width), ([i]) => {
      const name = e.declare(`segments ${JSON.stringify(starts)}`, (fn) => segmentSearch(fn, starts));
      return e.let(`${name}(${indexText(i as Index)})`, 1, "u32", e.depthOf([i as Index]));
    });
  },

  dynamicSlice: (e, node, index) => {
    const [x, ...starts] = node.args as [Node, ...Node[]];
    const first = dynamicStarts(e, starts, shapeOf(x), shapeOf(node));
    return e.value(
      x,
      index.map((at, i) => add(at, first[i] as Index)),
    );
  },

  dynamicUpdateSlice: (e, node, index) => {
    const [x, update, ...starts] = node.args as [Node, Node, ...Node[]];
    const sizes = shapeOf(update);
    const first = dynamicStarts(e, starts, shapeOf(x), sizes);
    const write = (at: readonly Index[]): Value => {
      const old = e.value(x, at);
      const guards: string[] = [];
      const inner = at.map((a, i) => {
        const size = sizes[i] as number;
        if (size === shapeOf(x)[i]) return a;
        // Before the block the difference wraps to a huge u32, so one comparison covers both ends.
        const local = `${indexText(a)} - ${indexText(first[i] as Index)}`;
        guards.push(`(${local}) < ${size}u`);
        const last = Math.max(0, size - 1);
        return e.opaque(`min(${local}, ${last}u)`, last, e.depthOf([a, first[i] as Index]));
      });
      if (guards.length === 0) return e.value(update, inner);
      const ok = e.let(guards.join(" && "), 1, "bool", e.depthOf([...at, ...first]));
      return e.apply("where", [ok, e.value(update, inner), old], node.type.dtype);
    };
    const moved = index.some((a, i) => sizes[i] !== shapeOf(x)[i] && dependsOn(a, "lane"));
    return moved ? e.perLane(index, write) : write(index);
  },

  gather: (e, node, index) => {
    const [data, indices] = node.args as [Node, Node];
    const axis = node.attrs.axis as number;
    const rank = indices.type.shape.length;
    const own = index.slice(axis, axis + rank);
    // Vectors that lie in one segment each pick one element.
    const at = indices.op === "segments" ? sharedByLanes(segmentStarts(indices), own, e.width) : own;
    const write = (full: readonly Index[]): Value => {
      const picked = loadIndex(e, indices, full.slice(axis, axis + rank), shapeOf(data)[axis] as number);
      return e.value(data, [...full.slice(0, axis), picked, ...full.slice(axis + rank)]);
    };
    const full = [...index.slice(0, axis), ...at, ...index.slice(axis + rank)];
    return at.some((i) => dependsOn(i, "lane")) ? e.perLane(full, write) : write(full);
  },

  gatherElements: (e, node, index) => {
    const [data, indices] = node.args as [Node, Node];
    const axis = node.attrs.axis as number;
    return e.perLane(index, (at) => {
      const picked = loadIndex(e, indices, at, shapeOf(data)[axis] as number);
      return e.value(
        data,
        at.map((a, i) => (i === axis ? picked : a)),
      );
    });
  },

  gatherND: (e, node, index) => {
    const [data, indices] = node.args as [Node, Node];
    const batch = (node.attrs.batchDims as number | undefined) ?? 0;
    const shape = shapeOf(indices);
    const outer = shape.length - 1;
    const depth = shape[outer] as number;
    const write = (at: readonly Index[]): Value => {
      const picked = Array.from({ length: depth }, (_, k) =>
        loadIndex(e, indices, [...at.slice(0, outer), int(k)], shapeOf(data)[batch + k] as number),
      );
      return e.value(data, [...at.slice(0, batch), ...picked, ...at.slice(outer)]);
    };
    return index.slice(0, outer).some((i) => dependsOn(i, "lane")) ? e.perLane(index, write) : write(index);
  },

  fromHalves: (e, node, index) => {
    const [words, exponents] = node.args as [Node, Node];
    return e.perLane(index, ([i, j]) => {
      const [row, column] = [i as Index, j as Index];
      const [high, wide, at] = wordAt(indexAlgebra, row, column) as [Index, Index, Index];
      const [upper, lower] = [0, lowerWords].map((k) => {
        const word = e.value(words, [high, wide, add(at, int(k))]);
        return `unpack2x16float(${word.text})[${indexText(mod(column, 2))}]`;
      });
      const exponent = e.value(exponents, [div(row, halvesBlock), div(column, halvesBlock)]);
      const kept = `clamp(${exponent.text}, ${leastExponent}u, ${largestExponent}u)`;
      const text = `(${upper} + ${lower}) * ${unscaleText(kept)}`;
      return e.let(text, 1, "f32", e.depthOf([row, column]));
    });
  },

  words: (e, node, index) => {
    const values = node.attrs.values as readonly number[];
    const kinds = [...(node.attrs.kinds as string)];
    let next = 0;
    const words = kinds.map((kind, i) => {
      if (kind === "u") return `${(values[i] as number) >>> 0}u`;
      if (kind === "f") return `bitcast<u32>(f32(${values[i]}u))`;
      const v = e.value(node.args[next++] as Node, []);
      return v.dtype === "u32" ? v.text : `bitcast<u32>(${v.text})`;
    });
    return e.perLane(index, ([i]) => {
      const at = indexText(i as Index);
      const chosen = isInt(i as Index)
        ? (words[(i as Index).base] as string)
        : words.reduceRight((rest, w, k) => `select(${rest}, ${w}, ${at} == ${k}u)`);
      return e.let(chosen, 1, "u32");
    });
  },

  philox: (e, node, index) => {
    const [seed] = node.args as [Node];
    return e.perLane(index, (at) => {
      const k0 = e.value(seed, [int(0)]);
      const k1 = e.value(seed, [int(1)]);
      const linear = ravel(at, shapeOf(node));
      const depth = Math.max(k0.depth, k1.depth, e.depthOf([linear]));
      const text = isInt(linear) ? `${linear.base}u` : indexText(linear);
      const n = e.let(text, 1, "u32", depth);
      const c = e.context(1, ["u32", "u32"], "u32");
      const counter = `vec4<u32>(${n.text} / 4u, 0u, ${node.attrs.stream}u, 0u)`;
      const call = c.call("philox", counter, `vec2<u32>(${k0.text}, ${k1.text})`);
      return e.let(`${call}[${n.text} % 4u]`, 1, "u32", depth);
    });
  },
};

/** An element of an index tensor as an index into an axis of `size`: negative counts from the end, then clamped. */
function loadIndex(e: Emitter, indices: Node, at: readonly Index[], size: number): Index {
  const v = e.value(indices, at);
  const last = Math.max(0, size - 1);
  const text =
    v.dtype === "u32"
      ? `min(${v.text}, ${last}u)`
      : `u32(clamp(select(${v.text}, ${v.text} + ${size}i, ${v.text} < 0i), 0i, ${last}i))`;
  return e.opaque(text, last, v.depth);
}

const convertIndex = (dtype: DType, text: string): string =>
  dtype === "u32" ? text : dtype === "bool" ? `(${text}) != 0u` : `${dtype === "i32" ? "i32" : "f32"}(${text})`;
