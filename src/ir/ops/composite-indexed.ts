import type { Shape } from "../dim.ts";
import type { GraphBuilder, Node, TensorType } from "../graph.ts";
import type { OpRow } from "../op.ts";
import { axisOf, range, splice, tensorType } from "./axes.ts";
import { transpose } from "./composite-helpers.ts";
import { requireReadable } from "./indexed.ts";
import { requireInteger, requireNumber, requireRank, sameDType, sameShape, typeText } from "./infer.ts";

const updatesShape = (data: Shape, axis: number, indices: Shape): Shape => splice(data, axis, 1, ...indices);

/** scatterND writes along leading axes, so the indexed axis moves to the front and back. */
function scatterAdd(b: GraphBuilder, data: Node, indices: Node, updates: Node, axis: number): Node {
  const rank = data.type.shape.length;
  const many = indices.type.shape.length;
  const front = [axis, ...range(rank).filter((i) => i !== axis)];
  const lead = range(many).map((i) => axis + i);
  const rest = range(updates.type.shape.length).filter((i) => !lead.includes(i));
  const out = b.add(
    "scatterND",
    [
      transpose(b, data, front),
      b.add("reshape", [indices], { shape: [...indices.type.shape, 1] }),
      transpose(b, updates, [...lead, ...rest]),
    ],
    { reduction: "add" },
  );
  const back = range(rank).map((i) => front.indexOf(i));
  return transpose(b, out, back);
}

export const indexedComposites: readonly OpRow[] = [
  {
    name: "embedding",
    kind: "composite",
    params: ["table", "ids"],
    doc: "Rows of a table: table [V, ...], ids [...] (i32, u32), result [...ids, ...]. Indices count from the end when negative and are clamped into range, as gather's.",
    infer: ([table, ids]) => {
      const [t, i] = [table as TensorType, ids as TensorType];
      requireRank("embedding", t, 1, 8, "table");
      requireInteger("embedding", i, "ids");
      requireReadable("embedding", t, 0, i, ["table", "ids"]);
      return tensorType("embedding", t.dtype, [...i.shape, ...t.shape.slice(1)]);
    },
    decompose: (b, args) => b.add("gather", args, { axis: 0 }),
    accuracy: { ulp: 0 },
  },
  {
    name: "scatterAdd",
    kind: "composite",
    params: ["data", "indices", "updates"],
    attrs: { axis: { type: "int", doc: "axis of data that is indexed" } },
    doc:
      "The adjoint of gather: data with each slice of updates added at its index along an axis. Updates have data's shape with the axis replaced by " +
      "the shape of the indices (i32, u32). Negative indices count from the end; updates outside are dropped. Repeated indices add up in row-major order; " +
      "f16 accumulates in f32.",
    infer: ([d, i, u], a) => {
      const [data, indices, updates] = [d as TensorType, i as TensorType, u as TensorType];
      requireNumber("scatterAdd", data, "data");
      requireInteger("scatterAdd", indices, "indices");
      sameDType("scatterAdd", data, updates);
      const shape = updatesShape(data.shape, axisOf("scatterAdd", a.axis, data.shape), indices.shape);
      sameShape(
        "scatterAdd",
        updates.shape,
        shape,
        `updates ${typeText(updates)} and the slices that the indices name`,
      );
      return data;
    },
    decompose: (b, [data, indices, updates], a) =>
      scatterAdd(b, data as Node, indices as Node, updates as Node, a.axis as number),
    accuracy: { ulp: (n) => Math.max(1, n) },
  },
];
