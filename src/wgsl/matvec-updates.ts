import { updateSource } from "../fuse/prologue-join.ts";
import type { Node } from "../ir/graph.ts";
import {
  add,
  dependsOn,
  divisibleBy,
  type Index,
  indexText,
  int,
  ravel,
  scale,
  sub,
  substitute,
  unravel,
} from "../ir/index-expr.ts";
import { dynamicStarts } from "./dynamic-starts.ts";
import { lane, shapeOf, type Value } from "./emitter.ts";
import { type Frame, indexFor } from "./kernel.ts";

/** The blocks of states that a product's kernel writes. */
export const updatesOf = (frame: Pick<Frame, "region">): readonly Node[] =>
  frame.region.anchors.filter((n) => n.op === "dynamicUpdateSlice");

/** Stores what the kernel computes at a point of its space into the states that it is a part of, the values' lanes together. */
export function writeUpdates(frame: Frame, at: readonly Index[]): void {
  for (const n of updatesOf(frame)) {
    const source = updateSource(n.args[1] as Node);
    const index = indexFor(source, at, frame.region.space);
    const value = frame.e.result(source, index);
    store(frame, n, source, index, value);
  }
}

interface Found {
  readonly index: readonly Index[];
  /** Where the element may lie outside: an index, and how many follow from 0 on. */
  readonly within: readonly { readonly local: Index; readonly size: number }[];
}

/** Index in an update of the element that is at `index` of its source. */
function follow(
  update: Node,
  source: Node,
  index: readonly Index[],
  clamp: (local: Index, size: number) => Index,
): Found {
  const chain: Node[] = [];
  for (let v = update; v !== source; v = v.args[0] as Node) chain.unshift(v);
  const within: { local: Index; size: number }[] = [];
  let at = index;
  let shape = shapeOf(source);
  for (const v of chain) {
    const to = shapeOf(v);
    if (v.op === "transpose") at = (v.attrs.perm as number[]).map((p) => at[p] as Index);
    else if (v.op === "slice") {
      at = at.map((x, d) => {
        const local = sub(x, int((v.attrs.starts as number[])[d] as number));
        const size = to[d] as number;
        if (local.min >= 0 && local.max < size) return local;
        within.push({ local, size });
        return clamp(local, size);
      });
    } else at = unravel(ravel(at, shape), to);
    shape = to;
  }
  return { index: at, within };
}

function store(frame: Frame, n: Node, source: Node, index: readonly Index[], value: Value): void {
  const { e } = frame;
  const { width } = e;
  const [x, update, ...starts] = n.args as [Node, Node, ...Node[]];
  const probe = follow(update, source, index, (local) => local);
  const together = probe.within.every(
    ({ local, size }) =>
      !dependsOn(local, "lane") || (size % width === 0 && divisibleBy(substitute(local, "lane", int(0)), width)),
  );
  if (width > 1 && !together) {
    const named = value.width === 1 ? value : e.let(value.text, value.width, value.dtype);
    for (let l = 0; l < width; l++) {
      e.width = 1;
      const text = named.width === 1 ? named.text : `${named.text}.${"xyzw"[l]}`;
      const one = index.map((i) => substitute(i, "lane", int(l)));
      store(frame, n, source, one, { ...named, text, width: 1 });
    }
    e.width = width;
    return;
  }
  const first = (i: Index): Index => substitute(i, "lane", int(0));
  const guards = probe.within.map(({ local, size }) => `(${indexText(first(local))}) < ${size}u`);
  const begin = dynamicStarts(e, starts, shapeOf(x), shapeOf(update));
  e.open(guards.length ? `if (${guards.join(" && ")}) {` : "{");
  const { index: to } = follow(update, source, index, (local, size) => {
    if (!dependsOn(local, "lane")) return e.opaque(indexText(local), size - 1, e.depth);
    const unit = e.opaque(`(${indexText(first(local))}) / ${width}u`, size / width - 1, e.depth);
    return add(scale(unit, width), lane(width));
  });
  const place = ravel(
    to.map((i, axis) => add(i, begin[axis] as Index)),
    shapeOf(x),
  );
  e.store(frame.outputs.get(n)!, place, value);
  e.close();
}
