import type { Region } from "../fuse/region.ts";
import type { Node } from "../ir/graph.ts";
import { type Index, int, ravel, sub, unravel, variable } from "../ir/index-expr.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { type Accumulator, accumulatorOf } from "./accumulate.ts";
import { type Emitter, shapeOf, type Value } from "./emitter.ts";
import { closeFrame, type Frame, type Kernel, openFrame } from "./kernel.ts";
import { typeOf } from "./storage.ts";

const groupSize = 64;

/** Cumulative sums and scans with a combine of the user's: one invocation walks one line of the axis. */
export function writeScan(region: Region, capabilities: Capabilities): Kernel {
  const frame = openFrame(region, capabilities);
  const { e } = frame;
  const [node] = region.anchors as [Node];
  const shape = shapeOf(node);
  const axis = node.attrs.axis as number;
  const length = shape[axis] as number;
  const others = shape.filter((_, i) => i !== axis);
  const lines = others.reduce((p, d) => p * d, 1);
  const groups = Math.ceil(lines / groupSize);
  const line = e.index("line", lines - 1, `group * ${groupSize}u + lid`);
  e.line(`if (line >= ${lines}u) { return; }`);
  const outer = unravel(line, others);
  const at = (position: Index): Index[] => [...outer.slice(0, axis), position, ...outer.slice(axis)];
  const acc = scanOf(node);
  const names = acc.dtypes.map((dtype, i) => {
    const name = acc.dtypes.length === 1 ? "acc" : `acc${i}`;
    e.line(`var ${name}: ${typeOf(dtype, 1)} = ${e.literal(acc.identity[i] as number, dtype).text};`);
    return name;
  });
  e.open(`for (var c = 0u; c < ${frame.end(length)}; c++) {`, ["c"]);
  const states = names.map(
    (text, i): Value => ({ text, width: 1, dtype: acc.dtypes[i] as Value["dtype"], depth: e.depth }),
  );
  const step = variable("c", Math.max(0, length - 1));
  const index = at(node.attrs.reverse ? sub(int(length - 1), step) : step);
  const elements = node.args.map((x) => ({ ...e.value(x, index), depth: e.depth }));
  const offset = ravel(index, shape);
  if (acc.exclusive) storeStates(frame, node, offset, states);
  const [left, right] = node.attrs.reverse ? [elements, states] : [states, elements];
  assign(e, names, acc.combine(e, left, right));
  if (!acc.exclusive) storeStates(frame, node, offset, states);
  e.close();
  return closeFrame(frame, { variant: "scan_serial", workgroupSize: [groupSize, 1, 1], groups });
}

type Scan = Pick<Accumulator, "dtypes" | "identity" | "combine"> & { readonly exclusive: boolean };

function scanOf(node: Node): Scan {
  if (node.op !== "cumSum") return { ...accumulatorOf(node), exclusive: true };
  const { dtype } = node.type;
  return {
    dtypes: [dtype],
    identity: [0],
    exclusive: node.attrs.exclusive === true,
    combine: (e, [a], [b]) => [e.apply("add", [a as Value, b as Value], dtype)],
  };
}

/** No state is overwritten before all were combined. */
function assign(e: Emitter, names: readonly string[], values: readonly Value[]): void {
  const texts = names.length === 1 ? values : values.map((v) => e.let(v.text, v.width, v.dtype));
  texts.forEach((v, i) => {
    e.line(`${names[i]} = ${v.text};`);
  });
}

function storeStates(frame: Frame, node: Node, offset: Index, states: readonly Value[]): void {
  states.forEach((state, i) => {
    const nodes = node.results
      ? frame.region.members.filter((n) => n.op === "result" && n.args[0] === node && n.attrs.index === i)
      : [node];
    for (const n of nodes) {
      const binding = frame.outputs.get(n);
      if (binding) frame.e.store(binding, offset, state);
    }
  });
}
