import type { DType } from "../base/dtype.ts";
import type { Graph, Node } from "../ir/graph.ts";
import { coefOf, dependsOn, type Index, indexText, int, ravel, substitute, variable } from "../ir/index-expr.ts";
import { count } from "../ir/ndarray.ts";
import { HelperSet } from "../ir/ops/helpers.ts";
import { rowOf } from "../ir/ops.ts";
import { shownAt } from "./masks.ts";
import { producers } from "./producers.ts";
import { type Binding, type Storage, typeOf } from "./storage.ts";

/** The lane of a vector: an index variable with values 0 … width-1 that never reaches the text. */
export const lane = (width: number): Index => (width === 1 ? int(0) : variable("lane", width - 1));

/** A computed value in the text: an identifier or a literal. `width` 1 in a wider context means the same for all lanes. */
export interface Value {
  readonly text: string;
  readonly width: number;
  readonly dtype: DType;
  /** Depth of the block that declares it. */
  readonly depth: number;
}

interface Block {
  readonly lines: string[];
  readonly memo: Map<string, Value>;
  /** Opaque indices declared here, by text. */
  readonly opaque: Map<string, Index>;
  readonly vars: Set<string>;
  readonly close: string;
}

/** What the functions of a module share. */
interface Module {
  readonly helpers: HelperSet;
  readonly declared: Map<string, { readonly name: string; readonly text: string }>;
  names: number;
}

export const shapeOf = (n: Node): readonly number[] => n.type.shape as readonly number[];

/**
 * Writes the value of graph nodes at symbolic indices, pulling producers in: elementwise rows become expressions, views
 * become index arithmetic, and nodes that have a buffer become loads. Every value is declared once, in the outermost
 * block in which its index variables exist.
 */
export class Emitter {
  readonly storage: Storage;
  readonly helpers: HelperSet;
  /** May the text follow from where in a tensor an index can be? */
  folds = true;
  /** Lanes of the vectors being computed. */
  width = 1;
  /** The lane being computed while vectors are written lane by lane. */
  private lane = 0;
  private readonly buffers = new Map<Node, Binding>();
  private readonly provided = new Map<Node, (index: readonly Index[]) => Value>();
  private readonly blocks: Block[] = [{ lines: [], memo: new Map(), opaque: new Map(), vars: new Set(), close: "" }];
  private readonly module: Module;

  constructor(storage: Storage, module: Module = { helpers: new HelperSet(), declared: new Map(), names: 0 }) {
    this.storage = storage;
    this.module = module;
    this.helpers = module.helpers;
  }

  /** An emitter for the body of a function of the same module, in which the named index variables are parameters. */
  inFunction(params: readonly string[]): Emitter {
    const inner = new Emitter(this.storage, this.module);
    for (const [node, binding] of this.buffers) inner.bind(node, binding);
    inner.folds = this.folds;
    for (const name of params) (inner.blocks[0] as Block).vars.add(name);
    return inner;
  }

  /** Reads of `node` become loads from `binding`. */
  bind(node: Node, binding: Binding): void {
    this.buffers.set(node, binding);
  }

  /** Where reads of `node` are loads from. */
  boundTo(node: Node): Binding | undefined {
    return this.provided.has(node) ? undefined : this.buffers.get(node);
  }

  /** Reads of `node` become what `value` returns, for as long as the current block is open. */
  provide(node: Node, value: (index: readonly Index[]) => Value): void {
    this.provided.set(node, value);
  }

  /** Reads of `node` are what they were before it was provided. */
  withdraw(node: Node): void {
    this.provided.delete(node);
  }

  fresh(prefix: string): string {
    return `${prefix}${this.module.names++}`;
  }

  get depth(): number {
    return this.blocks.length - 1;
  }

  line(text: string, depth = this.depth): void {
    (this.blocks[depth] as Block).lines.push("  ".repeat(depth + 1) + text);
  }

  open(header: string, vars: readonly string[] = [], close = "}"): void {
    this.blocks.push({
      lines: ["  ".repeat(this.blocks.length) + header],
      memo: new Map(),
      opaque: new Map(),
      vars: new Set(vars),
      close,
    });
  }

  close(): void {
    const b = this.blocks.pop() as Block;
    (this.blocks[this.depth] as Block).lines.push(...b.lines, "  ".repeat(this.depth + 1) + b.close);
  }

  /** An index variable that the current block declares. */
  index(name: string, max: number, text: string, min = 0): Index {
    this.line(`let ${name} = ${text};`);
    (this.blocks[this.depth] as Block).vars.add(name);
    return variable(name, max, min);
  }

  /** A value declared by `let` at the given depth. */
  let(text: string, width: number, dtype: DType, depth = this.depth, prefix = "v"): Value {
    const name = this.fresh(prefix);
    this.line(`let ${name} = ${text};`, depth);
    return { text: name, width, dtype, depth };
  }

  body(): string {
    return (this.blocks[0] as Block).lines.join("\n");
  }

  context(width: number, args: readonly DType[], result: DType, attrs: Node["attrs"] = {}) {
    return this.helpers.context({ width, args, result, attrs });
  }

  literal(value: number, dtype: DType, width = 1): Value {
    return { text: this.context(width, [], dtype).lit(value, dtype), width, dtype, depth: 0 };
  }

  /** The depth of the innermost open block that declares a variable of the expression. */
  depthOf(indices: readonly Index[]): number {
    for (let d = this.depth; d > 0; d--) {
      for (const v of (this.blocks[d] as Block).vars) if (indices.some((e) => dependsOn(e, v))) return d;
    }
    return 0;
  }

  /** An opaque index whose value is the u32 text; declared where `depth` says. */
  opaque(text: string, max: number, depth: number): Index {
    const block = this.blocks[depth] as Block;
    const known = block.opaque.get(`${text}|${max}`);
    if (known) return known;
    const name = this.fresh("g");
    this.line(`let ${name} = ${text};`, depth);
    block.vars.add(name);
    const index = variable(name, max);
    block.opaque.set(`${text}|${max}`, index);
    return index;
  }

  /** The name of a function at module scope that `text` writes, declared once for each key. */
  declare(key: string, text: (name: string) => string): string {
    const known = this.module.declared.get(key);
    if (known) return known.name;
    const name = this.fresh("fn");
    this.module.declared.set(key, { name, text: text(name) });
    return name;
  }

  declarations(): string[] {
    return [...this.module.declared.values()].map((d) => d.text);
  }

  /** The value of `node` at `index`, as another operation of this kernel reads it: f16 results are rounded. */
  value(node: Node, index: readonly Index[]): Value {
    const at = index.map((e, i) => (shapeOf(node)[i] === 1 ? int(0) : e));
    const key = `${node.id}|${this.width}|${at.map((e) => e.key).join(",")}`;
    const known = this.remembered(key);
    if (known) return known;
    const raw = this.compute(node, at);
    const v = node.type.dtype === "f16" && rounds(node) && !this.has(node) ? this.roundHalf(raw) : raw;
    (this.blocks[v.depth] as Block).memo.set(key, v);
    return v;
  }

  /** The value of `node` at `index` for a store, which rounds by itself. */
  result(node: Node, index: readonly Index[]): Value {
    if (node.type.dtype !== "f16") return this.value(node, index);
    return this.compute(
      node,
      index.map((e, i) => (shapeOf(node)[i] === 1 ? int(0) : e)),
    );
  }

  private remembered(key: string): Value | undefined {
    for (let d = this.depth; d >= 0; d--) {
      const v = (this.blocks[d] as Block).memo.get(key);
      if (v) return v;
    }
    return undefined;
  }

  private has(node: Node): boolean {
    return this.buffers.has(node) || this.provided.has(node);
  }

  private roundHalf(v: Value): Value {
    const c = this.context(v.width, ["f32"], "f16", { dtype: "f16" });
    return this.let(rowOf("cast").elementwise!.wgsl([v.text], c), v.width, "f16", v.depth);
  }

  private compute(node: Node, index: readonly Index[]): Value {
    const given = this.provided.get(node);
    if (given) {
      const v = given(index);
      // One lane at a time: the value computed for a vector of points is that of the point at hand.
      return v.width > 1 && this.width === 1 ? { ...v, text: `${v.text}.${"xyzw"[this.lane]}`, width: 1 } : v;
    }
    const buffer = this.buffers.get(node);
    if (buffer) return this.load(node, buffer, index);
    const row = rowOf(node.op);
    if (row.elementwise) {
      const shape = shapeOf(node);
      const shown = this.folds ? shownAt(node, index) : undefined;
      if (shown) return this.value(shown, index.slice(shape.length - shown.type.shape.length));
      const args = node.args.map((a) => {
        const skip = shape.length - a.type.shape.length;
        return this.value(a, index.slice(skip));
      });
      return this.apply(node.op, args, node.type.dtype, node.attrs);
    }
    const write = producers[node.op] ?? (row.view ? producers.view : undefined);
    if (!write) throw new Error(`op ${node.op} cannot be pulled into a kernel`);
    return write(this, node, index);
  }

  /** An elementwise row on values. */
  apply(op: string, args: readonly Value[], dtype: DType, attrs: Node["attrs"] = {}): Value {
    const width = Math.max(1, ...args.map((a) => a.width));
    const texts = args.map((a) => (a.width === width ? a.text : `${typeOf(a.dtype, width)}(${a.text})`));
    const c = this.context(
      width,
      args.map((a) => a.dtype),
      dtype,
      attrs,
    );
    const text = rowOf(op).elementwise!.wgsl(texts, c);
    const depth = Math.max(0, ...args.map((a) => a.depth));
    return this.let(text, width, dtype, depth);
  }

  /** What this invocation stored in an output before, read at this place of the text. */
  stored(node: Node, b: Binding, index: readonly Index[]): Value {
    const { dtype } = node.type;
    const offset = ravel(index, shapeOf(node));
    const width = dependsOn(offset, "lane") ? this.width : 1;
    const first = this.vectorAt(b, offset, width);
    if (first) return this.let(this.storage.load(b, first, width), width, dtype);
    return this.join(
      this.lanes((l) => this.let(this.storage.load(b, substitute(offset, "lane", int(l)), 1), 1, dtype)),
    );
  }

  private load(node: Node, b: Binding, index: readonly Index[]): Value {
    const offset = ravel(index, shapeOf(node));
    const depth = this.depthOf([offset]);
    const dtype = node.type.dtype;
    if (!dependsOn(offset, "lane")) return this.let(this.storage.load(b, offset, 1), 1, dtype, depth);
    const first = this.vectorAt(b, offset, this.width);
    if (first) return this.let(this.storage.load(b, first, this.width), this.width, dtype, depth);
    return this.join(
      this.lanes((l) => this.let(this.storage.load(b, substitute(offset, "lane", int(l)), 1), 1, dtype, depth)),
    );
  }

  /** Where the lanes' elements begin, if they are moved as one vector: they neighbour each other. */
  private vectorAt(b: Binding, offset: Index, width: number): Index | undefined {
    const first = substitute(offset, "lane", int(0));
    return coefOf(offset, "lane") === 1 && this.storage.canVector(b, first, width) ? first : undefined;
  }

  /** Computes each lane on its own and joins them: for producers whose branch or loaded index differs between lanes. */
  perLane(index: readonly Index[], compute: (index: readonly Index[]) => Value): Value {
    const width = this.width;
    if (width === 1 || !index.some((e) => dependsOn(e, "lane"))) {
      this.width = 1;
      const v = compute(index);
      this.width = width;
      return v;
    }
    const outer = this.lane;
    const parts = this.lanes((l) => {
      this.width = 1;
      this.lane = l;
      return compute(index.map((e) => substitute(e, "lane", int(l))));
    });
    this.width = width;
    this.lane = outer;
    return this.join(parts);
  }

  private lanes(fn: (l: number) => Value): Value[] {
    const width = this.width;
    const out = Array.from({ length: width }, (_, l) => fn(l));
    this.width = width;
    return out;
  }

  private join(parts: readonly Value[]): Value {
    const first = parts[0] as Value;
    const width = parts.length;
    const depth = Math.max(...parts.map((p) => p.depth));
    return this.let(`${typeOf(first.dtype, width)}(${parts.map((p) => p.text).join(", ")})`, width, first.dtype, depth);
  }

  /** Evaluates a scalar graph (the combine of a `reduce`) on values given by input name. */
  scalarGraph(graph: Graph, inputs: Readonly<Record<string, Value>>): Value[] {
    const values = new Map<Node, Value>();
    for (const n of graph.nodes) {
      if (n.op === "input") values.set(n, inputs[n.attrs.name as string] as Value);
      else if (n.op === "const") values.set(n, this.literal(n.attrs.value as number, n.type.dtype));
      else {
        const args = n.args.map((a) => {
          const v = values.get(a) as Value;
          return { ...v, depth: this.depth };
        });
        values.set(n, this.apply(n.op, args, n.type.dtype, n.attrs));
      }
    }
    return graph.outputs.map((o) => values.get(o.node) as Value);
  }

  /** Stores a value at an offset that may depend on the lane. */
  store(b: Binding, offset: Index, v: Value): void {
    const first = substitute(offset, "lane", int(0));
    const width = dependsOn(offset, "lane") ? this.width : 1;
    const full = v.width === width ? v : { ...v, text: `${typeOf(v.dtype, width)}(${v.text})`, width };
    const packed = b.dtype === "f16" && !this.storage.nativeHalf;
    if (width === 1 || packed || this.vectorAt(b, offset, width)) {
      const named = full.text.includes("(") ? this.let(full.text, width, v.dtype) : full;
      for (const s of this.storage.store(b, first, width, named.text)) this.line(s);
      return;
    }
    const named = this.let(full.text, width, v.dtype);
    for (let l = 0; l < width; l++) {
      const at = substitute(offset, "lane", int(l));
      // A buffer of odd length beside one of whole f16 words: the last lane has no element there.
      const inside = at.max < b.count ? "" : `if (${indexText(at)} < ${b.count}u) `;
      for (const s of this.storage.store(b, at, 1, `${named.text}.${"xyzw"[l]}`))
        this.line(inside ? `${inside}{ ${s} }` : s);
    }
  }
}

/** Does the row compute a new f16 value, which must be rounded before the next operation reads it? */
function rounds(node: Node): boolean {
  return rowOf(node.op).elementwise !== undefined && !exactOnHalf.has(node.op);
}
const exactOnHalf = new Set([
  "where",
  "neg",
  "abs",
  "min",
  "max",
  "relu",
  "clamp",
  "sign",
  "floor",
  "ceil",
  "round",
  "trunc",
  "cast",
]);

export const elements = (n: Node): number => count(shapeOf(n));
