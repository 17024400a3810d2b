import { fail, type Place, SinterError } from "../base/diagnostic.ts";
import { type DType, dtypes } from "../base/dtype.ts";
import { suggest } from "../base/suggest.ts";
import { type Dim, dim, dimAdd, dimFloorDiv, dimMax, dimMin, dimMod, dimMul, shapeEqual } from "./dim.ts";
import {
  type Graph,
  GraphBuilder,
  type GraphOutput,
  type InputRole,
  type Node,
  type TensorType,
  typeText,
} from "./graph.ts";
import { lex, type Token } from "./lex.ts";
import type { AttrSpec, OpRow } from "./op.ts";
import { hasRow, rowOf, rows } from "./ops.ts";
import { nameText } from "./print.ts";
import { arityProblem, attrsProblem, unknownAttr } from "./signature.ts";

/**
 * Reads the text form that `print` writes. Nodes keep the order of the text, also those that no output needs. Each node's
 * place is its line in the text.
 * @throws SinterError with line and column: `parse-error`, `unknown-op`, and what the rows refuse.
 */
export function parse(text: string, file = "graph.tir"): Graph {
  const c: Cursor = { tokens: lex(text, file), at: 0, dims: new Map(), builder: new GraphBuilder() };
  word(c, "graph");
  if (take(c, "<")) {
    do {
      const name = expect(c, "name", "the name of a dim");
      mark(c, "=");
      c.dims.set(name.text, dim(name.text, { hint: Number(expect(c, "number", "a size").text) }));
    } while (take(c, ","));
    mark(c, ">");
  }
  const graph = graphRest(c);
  expect(c, "end", "the end of the text");
  return graph;
}

interface Cursor {
  readonly tokens: readonly Token[];
  at: number;
  readonly dims: Map<string, Dim>;
  readonly builder: GraphBuilder;
}

const peek = (c: Cursor): Token => c.tokens[c.at] as Token;

function refuse(t: Token, wanted: string, hint?: string): never {
  const found = t.kind === "end" ? "the end of the text" : JSON.stringify(t.text);
  return fail("parse-error", `expected ${wanted}, found ${found}`, { place: t.place, ...(hint ? { hint } : {}) });
}

function expect(c: Cursor, kind: Token["kind"], wanted: string): Token {
  const t = peek(c);
  if (t.kind !== kind) refuse(t, wanted);
  c.at++;
  return t;
}

function take(c: Cursor, text: string): boolean {
  const t = peek(c);
  if (t.kind !== "mark" || t.text !== text) return false;
  c.at++;
  return true;
}

function mark(c: Cursor, text: string): void {
  if (!take(c, text)) refuse(peek(c), JSON.stringify(text));
}

function word(c: Cursor, text: string): Token {
  const t = peek(c);
  if (t.kind !== "name" || t.text !== text) refuse(t, JSON.stringify(text));
  c.at++;
  return t;
}

/** Items up to the closing mark, separated by commas. */
function items<T>(c: Cursor, close: string, item: () => T): T[] {
  const out: T[] = [];
  if (take(c, close)) return out;
  do out.push(item());
  while (take(c, ","));
  mark(c, close);
  return out;
}

function graphRest(c: Cursor): Graph {
  const names = new Map<string, Node>();
  const nodes: Node[] = [];
  const define = (t: Token, node: Node): Node => {
    if (names.has(key(t))) fail("parse-error", `%${t.text} is defined twice`, { place: t.place });
    names.set(key(t), node);
    nodes.push(node);
    return node;
  };
  mark(c, "(");
  const inputs = items(c, ")", () => {
    const t = expect(c, "value", "an input");
    mark(c, ":");
    const type = tensorType(c);
    c.builder.place = t.place;
    const role = peek(c).kind === "name" ? oneOf(c, ["data", "weight", "state"], "a role") : "data";
    return define(t, c.builder.input(t.text, type, role as InputRole));
  });
  mark(c, "{");
  while (peek(c).kind === "value") define(peek(c), statement(c, names));
  word(c, "return");
  const outputs: GraphOutput[] = [];
  if (!take(c, "}")) {
    outputs.push(
      ...items(c, "}", () => {
        const t = peek(c);
        if (t.kind !== "name" && t.kind !== "string" && t.kind !== "number") refuse(t, "the name of an output");
        c.at++;
        mark(c, ":");
        return { name: t.text, node: use(c, names) };
      }),
    );
  }
  return { inputs, outputs, nodes };
}

/** `%0` is the first statement, `%"0"` an input named 0. */
const key = (t: Token): string => (t.quoted ? nameText(t.text) : t.text);

function use(c: Cursor, names: ReadonlyMap<string, Node>): Node {
  const t = expect(c, "value", "a value");
  const node = names.get(key(t));
  if (node) return node;
  const near = suggest(t.text, names.keys());
  return fail("parse-error", `%${t.text} is not defined above`, {
    place: t.place,
    ...(near ? { hint: `did you mean %${near}?` } : {}),
  });
}

function statement(c: Cursor, names: ReadonlyMap<string, Node>): Node {
  c.at++;
  mark(c, "=");
  const op = expect(c, "name", "an op");
  if (!hasRow(op.text)) {
    const near = suggest(
      op.text,
      rows.map((r) => r.name),
    );
    fail("unknown-op", `there is no op named ${JSON.stringify(op.text)}`, {
      place: op.place,
      ...(near ? { hint: `did you mean ${near}?` } : {}),
    });
  }
  const row = rowOf(op.text);
  mark(c, "(");
  const args = items(c, ")", () => use(c, names));
  const arity = arityProblem(row, args.length);
  if (arity) fail("bad-arity", arity, { place: op.place });
  const attrs = take(c, "{") ? Object.fromEntries(items(c, "}", () => attribute(c, row))) : {};
  const problem = attrsProblem(row, attrs);
  if (problem)
    fail("bad-attribute", problem.message, { place: op.place, ...(problem.hint ? { hint: problem.hint } : {}) });
  c.builder.place = op.place;
  const node = located(op.place, () => c.builder.add(op.text, args, attrs));
  mark(c, ":");
  const place = peek(c).place;
  const several = take(c, "(");
  const types = several ? items(c, ")", () => tensorType(c)) : [tensorType(c)];
  const inferred = node.results ?? [node.type];
  const same =
    several === (node.results !== undefined) &&
    types.length === inferred.length &&
    types.every((t, i) => t.dtype === inferred[i]?.dtype && shapeEqual(t.shape, inferred[i].shape));
  if (!same) {
    const text = inferred.map(typeText).join(", ");
    fail(
      "type-mismatch",
      `${op.text} gives ${node.results ? `(${text})` : text}, but the text says ${types.map(typeText).join(", ")}`,
      { place },
    );
  }
  return node;
}

/** Gives errors without a place the place of the statement. */
function located<T>(place: Place, fn: () => T): T {
  try {
    return fn();
  } catch (e) {
    if (e instanceof SinterError && !e.diagnostic.place)
      throw new SinterError({ ...e.diagnostic, place }, { cause: e });
    throw e;
  }
}

function attribute(c: Cursor, row: OpRow): [string, unknown] {
  const name = expect(c, "name", "the name of an attribute");
  const spec = row.attrs?.[name.text];
  if (!spec) {
    const { message, hint } = unknownAttr(row, name.text);
    return fail("bad-attribute", message, { place: name.place, hint });
  }
  mark(c, ":");
  if (spec.default === null && peek(c).text === "null") {
    c.at++;
    return [name.text, null];
  }
  return [name.text, readers[spec.type](c)];
}

const float = (c: Cursor): number => {
  const { text } = expect(c, "number", "a number");
  return text === "inf"
    ? Number.POSITIVE_INFINITY
    : text === "-inf"
      ? Number.NEGATIVE_INFINITY
      : text === "nan"
        ? Number.NaN
        : Number(text);
};

const array = <T>(c: Cursor, item: (c: Cursor) => T): T[] => {
  mark(c, "[");
  return items(c, "]", () => item(c));
};

const readers: Record<AttrSpec["type"], (c: Cursor) => unknown> = {
  int: dimension,
  ints: (c) => array(c, dimension),
  dim: dimension,
  shape: (c) => array(c, dimension),
  float,
  floats: (c) => array(c, float),
  bool: (c) => oneOf(c, ["true", "false"], "true or false") === "true",
  string: (c) => expect(c, "string", "a string in double quotes").text,
  dtype: (c) => oneOf(c, dtypes, "a dtype"),
  data: (c) => Float64Array.from(array(c, float)),
  graph: (c) => {
    word(c, "graph");
    return graphRest(c);
  },
};

function oneOf(c: Cursor, words: readonly string[], wanted: string): string {
  const t = peek(c);
  if (t.kind !== "name" || !words.includes(t.text)) refuse(t, wanted, `one of ${words.join(", ")}`);
  c.at++;
  return t.text;
}

function tensorType(c: Cursor): TensorType {
  return { dtype: oneOf(c, dtypes, "a dtype") as DType, shape: array(c, dimension) };
}

const infix: Readonly<Record<string, (a: Dim, b: Dim) => Dim>> = {
  "+": dimAdd,
  "*": dimMul,
  "/": dimFloorDiv,
  "%": dimMod,
};
const calls: Readonly<Record<string, (a: Dim, b: Dim) => Dim>> = { max: dimMax, min: dimMin };

function dimension(c: Cursor): Dim {
  const t = peek(c);
  c.at++;
  if (t.kind === "number") {
    const n = Number(t.text);
    return Number.isInteger(n) ? n : refuse(t, "an integer");
  }
  if (t.kind === "name") {
    const call = calls[t.text];
    if (call && take(c, "(")) {
      const [a, b] = items(c, ")", () => dimension(c));
      return a === undefined || b === undefined ? refuse(t, "two sizes") : call(a, b);
    }
    return c.dims.get(t.text) ?? refuse(t, "a size", `name the dims of the graph first: graph<${t.text} = 16>(…)`);
  }
  if (t.kind !== "mark" || t.text !== "(") refuse(t, "a size");
  const a = dimension(c);
  const sign = peek(c);
  const op = infix[sign.text] ?? refuse(sign, "+, *, / or %");
  c.at++;
  const b = dimension(c);
  mark(c, ")");
  return op(a, b);
}
