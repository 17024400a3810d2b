import { ts } from "ts-morph";
import { suggest } from "../../src/base/suggest.ts";
import { globals, numberFunction } from "./builtins.ts";
import { call } from "./call.ts";
import { member } from "./member.ts";
import { binaryOps, isAssignment, prefixOps } from "./operators.ts";
import { apply, choose, type Reader, refuse, scalarOf } from "./reader.ts";
import type { Scope } from "./scope.ts";
import {
  refused,
  refusedAssignment,
  refusedIncrement,
  refusedOperators,
  refusedOptional,
  syntaxName,
} from "./unsupported.ts";
import { constant, type FunctionNode, poison, type Value } from "./value.ts";

const K = ts.SyntaxKind;

type Read<N extends ts.Node> = (r: Reader, node: N, scope: Scope) => Value;
const handlers = new Map<ts.SyntaxKind, Read<never>>();
const on = <N extends ts.Node>(kinds: readonly ts.SyntaxKind[], read: Read<N>): void => {
  for (const k of kinds) handlers.set(k, read);
};

/** What an expression means where its names mean what `scope` says. */
export function evaluate(r: Reader, node: ts.Expression, scope: Scope): Value {
  const read = handlers.get(node.kind) as Read<ts.Expression> | undefined;
  if (read) return read(r, node, scope);
  return refuse(r, node, refused[node.kind] ?? [syntaxName(node), "use arithmetic, comparisons, ?: and Math"]);
}

on<ts.NumericLiteral>([K.NumericLiteral], (_, node) => constant(Number(node.text)));
on([K.TrueKeyword], () => constant(1, "bool"));
on([K.FalseKeyword], () => constant(0, "bool"));

// Types say nothing of values.
on<ts.ParenthesizedExpression | ts.AsExpression | ts.SatisfiesExpression | ts.NonNullExpression | ts.TypeAssertion>(
  [K.ParenthesizedExpression, K.AsExpression, K.SatisfiesExpression, K.NonNullExpression, K.TypeAssertionExpression],
  (r, node, scope) => evaluate(r, node.expression, scope),
);

on<ts.Identifier>([K.Identifier], (r, node, scope) => {
  const name = node.text;
  const binding = scope.find(name);
  if (!binding) return globalNamed(r, node);
  if (binding.kind === "later") {
    r.report.add("unknown-name", node, `${name} is used before it is declared`, { hint: "declare it further up" });
    return poison;
  }
  if (binding.kind === "cell") {
    if (binding.frame === r.frame) return binding.cell.value;
    return refuse(r, node, [`${name}, a variable of a function around this one,`, "make it a const, or a parameter"]);
  }
  return r.library.readBinding(binding, name, node) as Value;
});

function globalNamed(r: Reader, node: ts.Identifier): Value {
  const name = node.text;
  if (name === "Number") return numberFunction;
  const known = globals.get(name);
  if (known) return known;
  if (name === "undefined") return refuse(r, node, ["undefined", "give every value a number, such as 0 or NaN"]);
  if (name === "arguments") return refuse(r, node, ["arguments", "name the parameters"]);
  const near = suggest(name, [...globals.keys(), "Number"]);
  r.report.add("unknown-name", node, `${name} is not declared in this file`, {
    hint: near
      ? `did you mean ${near}?`
      : "declare it as a const, or import the function from its source by a relative path",
  });
  return poison;
}

on<ts.PropertyAccessExpression>([K.PropertyAccessExpression], (r, node, scope) => {
  if (node.questionDotToken) return refuse(r, node.questionDotToken, refusedOptional);
  return member(r, evaluate(r, node.expression, scope), node.name.text, node.name);
});

on<ts.ElementAccessExpression>([K.ElementAccessExpression], (r, node, scope) => {
  if (node.questionDotToken) return refuse(r, node.questionDotToken, refusedOptional);
  const of = evaluate(r, node.expression, scope);
  const at = node.argumentExpression;
  if (ts.isStringLiteral(at)) return member(r, of, at.text, at);
  const index = evaluate(r, at, scope);
  if (index.kind === "poison" || of.kind === "poison") return poison;
  if (index.kind === "constant") return member(r, of, String(index.value), at);
  r.report.add("not-constant", at, "an index must be a constant", {
    hint: "choose by comparison, i === 0 ? a[0] : a[1], or gather from a tensor with sinter's gather",
  });
  return poison;
});

on<ts.PrefixUnaryExpression>([K.PrefixUnaryExpression], (r, node, scope) => {
  const op = prefixOps[node.operator];
  if (!op) return refuse(r, node, refusedIncrement);
  return apply(r, op, [evaluate(r, node.operand, scope)], [node.operand], node);
});

on<ts.PostfixUnaryExpression>([K.PostfixUnaryExpression], (r, node) => refuse(r, node, refusedIncrement));

on<ts.BinaryExpression>([K.BinaryExpression], (r, node, scope) => {
  const kind = node.operatorToken.kind;
  const bad = refusedOperators[kind] ?? (isAssignment(kind) ? refusedAssignment : undefined);
  if (bad) return refuse(r, node.operatorToken, bad);
  const op = binaryOps[kind];
  if (!op) return refuse(r, node.operatorToken, [syntaxName(node.operatorToken), "use another operator"]);
  const left = evaluate(r, node.left, scope);
  // What a constant decides is not looked at, as when it runs.
  if (left.kind === "constant" && (op === "and" ? !left.value : op === "or" && left.value)) return left;
  const right = evaluate(r, node.right, scope);
  const zero = right.kind === "constant" && right.value === 0;
  const nodes = [node.left, node.right];
  if (zero && op === "bitOr") return apply(r, "toI32", [left], nodes, node);
  if (zero && op === "ushr") return apply(r, "toU32", [left], nodes, node);
  return apply(r, op, [left, right], nodes, node);
});

on<ts.ConditionalExpression>([K.ConditionalExpression], (r, node, scope) => {
  const condition = evaluate(r, node.condition, scope);
  if (condition.kind === "constant") return evaluate(r, condition.value ? node.whenTrue : node.whenFalse, scope);
  const known = scalarOf(r, condition, node.condition);
  const [a, b] = [evaluate(r, node.whenTrue, scope), evaluate(r, node.whenFalse, scope)];
  return known ? choose(r, known, a, b, node) : poison;
});

on<ts.ArrayLiteralExpression>([K.ArrayLiteralExpression], (r, node, scope) => ({
  kind: "tuple",
  items: node.elements.map((e) => evaluate(r, e, scope)),
}));

on<ts.ObjectLiteralExpression>([K.ObjectLiteralExpression], (r, node, scope) => {
  const fields = new Map<string, Value>();
  const errors = r.report.times;
  for (const p of node.properties) {
    const key = p.name && nameOf(r, p.name);
    if (ts.isPropertyAssignment(p)) {
      const value = evaluate(r, p.initializer, scope);
      if (key !== undefined) fields.set(key, value);
    } else if (ts.isShorthandPropertyAssignment(p)) fields.set(p.name.text, evaluate(r, p.name, scope));
    else if (ts.isMethodDeclaration(p)) {
      if (key !== undefined) fields.set(key, { kind: "function", node: p, scope });
    } else refuse(r, p, refused[p.kind] ?? [syntaxName(p), "write name: value"]);
  }
  return r.report.times > errors ? poison : { kind: "object", fields };
});

/** The name of a property: identifiers only, since results become names of outputs. */
function nameOf(r: Reader, name: ts.PropertyName): string | undefined {
  if (ts.isIdentifier(name) && name.text !== "__proto__") return name.text;
  const text = ts.isStringLiteral(name) ? name.text : "";
  if (/^[A-Za-z_$][\w$]*$/.test(text) && text.length <= 100 && text !== "__proto__") return text;
  refuse(r, name, [`the name ${syntaxName(name)}`, "use a plain name, as in { mean: x }"]);
  return undefined;
}

on<FunctionNode>([K.ArrowFunction, K.FunctionExpression], (_, node, scope) => ({ kind: "function", node, scope }));

on<ts.CallExpression>([K.CallExpression], (r, node, scope) => {
  if (node.questionDotToken) return refuse(r, node.questionDotToken, refusedOptional);
  const callee = evaluate(r, node.expression, scope);
  // A second argument of elementwise and reduction is a body that was read already.
  const given = callee.kind === "maker" ? node.arguments.slice(0, 1) : node.arguments;
  const args = given.map((a) => evaluate(r, a, scope));
  return call(r, callee, args, node);
});
