import { ts } from "ts-morph";
import { evaluate } from "./expression.ts";
import { namesOf } from "./library.ts";
import { assignmentOps, isAssignment } from "./operators.ts";
import { bindPattern } from "./pattern.ts";
import { apply, choose, iterationLimit, type Reader, refuse, scalarOf } from "./reader.ts";
import { type Binding, type Cell, Scope } from "./scope.ts";
import { refused, refusedOperators, syntaxName } from "./unsupported.ts";
import { constant, poison, type Value } from "./value.ts";

const K = ts.SyntaxKind;

/** Whether every way through statements returns. */
export type Flow = "returns" | "goes on";

type Exec<N extends ts.Statement> = (r: Reader, node: N, scope: Scope) => Flow;
const handlers = new Map<ts.SyntaxKind, Exec<never>>();
const on = <N extends ts.Statement>(kinds: readonly ts.SyntaxKind[], exec: Exec<N>): void => {
  for (const k of kinds) handlers.set(k, exec);
};

/** Reads statements in order. What comes after a return is not looked at. */
export function run(r: Reader, statements: readonly ts.Statement[], scope: Scope): Flow {
  hoist(statements, scope);
  for (const s of statements) if (exec(r, s, scope) === "returns") return "returns";
  return "goes on";
}

function exec(r: Reader, node: ts.Statement, scope: Scope): Flow {
  const read = handlers.get(node.kind) as Exec<ts.Statement> | undefined;
  if (read) return read(r, node, scope);
  refuse(r, node, refused[node.kind] ?? [syntaxName(node), "use const, let, if, for and return"]);
  return "goes on";
}

/** Functions are there from the start of their block; other names hide outer ones before they are declared. */
function hoist(statements: readonly ts.Statement[], scope: Scope): void {
  for (const s of statements) {
    if (ts.isFunctionDeclaration(s) && s.name) {
      scope.declare(s.name.text, { kind: "value", value: { kind: "function", node: s, scope } });
    } else if (ts.isVariableStatement(s)) {
      for (const d of s.declarationList.declarations) {
        for (const name of namesOf(d.name)) scope.declare(name, { kind: "later" });
      }
    }
  }
}

on([K.FunctionDeclaration, K.EmptyStatement, K.TypeAliasDeclaration, K.InterfaceDeclaration], () => "goes on");

on<ts.Block>([K.Block], (r, node, scope) => run(r, node.statements, new Scope(scope)));

on<ts.VariableStatement>([K.VariableStatement], (r, node, scope) => {
  declare(r, node.declarationList, scope);
  return "goes on";
});

function declare(r: Reader, list: ts.VariableDeclarationList, scope: Scope): void {
  if ((list.flags & ts.NodeFlags.BlockScoped) === 0) {
    refuse(r, list, ["var", "write const, or let where it changes"]);
  }
  if ((list.flags & ts.NodeFlags.AwaitUsing) === ts.NodeFlags.Using) {
    refuse(r, list, ["using", "write const"]);
  }
  const changes = (list.flags & ts.NodeFlags.Const) === 0;
  for (const d of list.declarations) {
    const value: Value = d.initializer
      ? evaluate(r, d.initializer, scope)
      : { kind: "unset", name: ts.isIdentifier(d.name) ? d.name.text : "it" };
    bindPattern(r, d.name, value, scope, scope, (v) => (changes ? newCell(r, v) : { kind: "value", value: v }));
  }
}

function newCell(r: Reader, value: Value): Binding {
  const cell: Cell = { value };
  r.frame.cells.push(cell);
  return { kind: "cell", cell, frame: r.frame };
}

on<ts.ReturnStatement>([K.ReturnStatement], (r, node, scope) => {
  const value = node.expression
    ? evaluate(r, node.expression, scope)
    : refuse(r, node, ["return without a value", "return the result"]);
  r.frame.returns.push({ path: [...r.frame.path], value });
  return "returns";
});

on<ts.IfStatement>([K.IfStatement], (r, node, scope) => {
  const condition = evaluate(r, node.expression, scope);
  if (condition.kind === "constant") {
    const taken = condition.value ? node.thenStatement : node.elseStatement;
    return taken ? exec(r, taken, new Scope(scope)) : "goes on";
  }
  const known = scalarOf(r, condition, node.expression) ?? poison;
  const { cells, path } = r.frame;
  const before = cells.map((c) => c.value);
  const branch = (statement: ts.Statement | undefined, holds: Value): { flow: Flow; values: Value[] } => {
    path.push(holds);
    const flow = statement ? exec(r, statement, new Scope(scope)) : "goes on";
    path.pop();
    cells.length = before.length;
    const values = cells.map((c) => c.value);
    cells.forEach((c, i) => {
      c.value = before[i] as Value;
    });
    return { flow, values };
  };
  const yes = branch(node.thenStatement, known);
  const no = branch(node.elseStatement, apply(r, "not", [known], [node.expression], node));
  cells.forEach((c, i) => {
    const [a, b] = [yes.values[i] as Value, no.values[i] as Value];
    if (yes.flow === "returns") c.value = b;
    else c.value = no.flow === "returns" ? a : choose(r, known, a, b, node);
  });
  return yes.flow === "returns" && no.flow === "returns" ? "returns" : "goes on";
});

on<ts.ForStatement>([K.ForStatement], (r, node, outer) => {
  const scope = new Scope(outer);
  if (node.initializer && ts.isVariableDeclarationList(node.initializer)) declare(r, node.initializer, scope);
  else if (node.initializer) change(r, node.initializer, scope);
  for (;;) {
    const errors = r.report.times;
    const more = node.condition ? evaluate(r, node.condition, scope) : constant(1, "bool");
    if (more.kind === "poison") return "goes on";
    if (more.kind !== "constant") {
      r.report.add("not-constant", node.condition ?? node, "how often a loop runs must be known when it is built", {
        hint: "compare the counter with a constant: for (let i = 0; i < 8; i++)",
      });
      return "goes on";
    }
    if (!more.value) return "goes on";
    if (!counted(r, node)) return "goes on";
    if (exec(r, node.statement, new Scope(scope)) === "returns") return "returns";
    if (node.incrementor) change(r, node.incrementor, scope);
    // What is wrong in the first round would be again in all others.
    if (r.report.times > errors) return "goes on";
  }
});

on<ts.ForOfStatement>([K.ForOfStatement], (r, node, outer) => {
  if (node.awaitModifier) refuse(r, node.awaitModifier, ["await", "leave it out"]);
  const over = evaluate(r, node.expression, outer);
  if (over.kind === "poison") return "goes on";
  if (over.kind !== "tuple") {
    r.report.add("not-constant", node.expression, "what a loop goes over must be an array of known length", {
      hint: "write for (const c of [0.5, 0.25])",
    });
    return "goes on";
  }
  if (!ts.isVariableDeclarationList(node.initializer)) {
    refuse(r, node.initializer, ["a loop over a variable from outside", "declare it here: for (const x of …)"]);
    return "goes on";
  }
  const { declarations, flags } = node.initializer;
  const changes = (flags & ts.NodeFlags.Const) === 0;
  const [{ name }] = declarations as unknown as [ts.VariableDeclaration];
  for (const item of over.items) {
    if (!counted(r, node)) return "goes on";
    const scope = new Scope(outer);
    bindPattern(r, name, item, scope, scope, (v) => (changes ? newCell(r, v) : { kind: "value", value: v }));
    if (exec(r, node.statement, scope) === "returns") return "returns";
  }
  return "goes on";
});

function counted(r: Reader, node: ts.Node): boolean {
  if (++r.iterations <= iterationLimit) return true;
  r.report.add("body-too-large", node, `loops run more than ${iterationLimit} times in all`, {
    hint: "loop less often, or reduce over an axis of a tensor: loops are written out",
  });
  return false;
}

on<ts.ExpressionStatement>([K.ExpressionStatement], (r, node, scope) => {
  change(r, node.expression, scope);
  return "goes on";
});

/** A statement that changes a variable: an assignment, ++ or --. */
function change(r: Reader, given: ts.Expression, scope: Scope): void {
  let node = given;
  while (ts.isParenthesizedExpression(node)) node = node.expression;
  const step = (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) && steps.get(node.operator);
  if (step) assign(r, (node as ts.PrefixUnaryExpression).operand, step, constant(1), node, scope);
  else if (!ts.isBinaryExpression(node)) effectless(r, node, scope);
  else if (isAssignment(node.operatorToken.kind)) {
    const { kind } = node.operatorToken;
    const bad = refusedOperators[kind];
    if (bad) refuse(r, node.operatorToken, bad);
    else assign(r, node.left, assignmentOps[kind], evaluate(r, node.right, scope), node, scope);
  } else if (node.operatorToken.kind === K.CommaToken) {
    // As in for (…; …; i++, j--).
    change(r, node.left, scope);
    change(r, node.right, scope);
  } else effectless(r, node, scope);
}

function effectless(r: Reader, node: ts.Expression, scope: Scope): void {
  if (evaluate(r, node, scope).kind === "poison") return;
  r.report.add("unsupported-syntax", node, "nothing uses what this computes", {
    hint: "return it, or give it a name: const y = …",
  });
}

const steps = new Map<ts.SyntaxKind, string>([
  [K.PlusPlusToken, "add"],
  [K.MinusMinusToken, "sub"],
]);

function assign(
  r: Reader,
  target: ts.Expression,
  op: string | undefined,
  value: Value,
  node: ts.Expression,
  scope: Scope,
): void {
  if (!ts.isIdentifier(target)) {
    refuse(r, target, [
      ts.isArrayLiteralExpression(target) || ts.isObjectLiteralExpression(target)
        ? "an assignment to several variables"
        : "an assignment to a part",
      "assign to one variable; make a new object or array where a part changes",
    ]);
    return;
  }
  const name = target.text;
  const binding = scope.find(name);
  if (binding?.kind !== "cell") {
    const what = binding?.kind === "value" && binding.parameter ? `the parameter ${name}` : name;
    refuse(r, target, [`an assignment to ${what}`, `declare a variable: let next = ${name}`]);
    return;
  }
  if (binding.frame !== r.frame) {
    refuse(r, target, [
      `an assignment to ${name}, a variable of a function around this one,`,
      "return the new value instead",
    ]);
    return;
  }
  const { cell } = binding;
  const zero = value.kind === "constant" && value.value === 0;
  if (op === "bitOr" && zero) cell.value = apply(r, "toI32", [cell.value], [target], node);
  else if (op === "ushr" && zero) cell.value = apply(r, "toU32", [cell.value], [target], node);
  else cell.value = op === undefined ? value : apply(r, op, [cell.value, value], [target, node], node);
}
