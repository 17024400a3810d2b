import { ts } from "ts-morph";
import { forms } from "../../src/frontend/body-ops.ts";
import { evaluate } from "./expression.ts";
import { bindPattern } from "./pattern.ts";
import { apply, callLimit, choose, newFrame, type Reader, refuse } from "./reader.ts";
import { Scope } from "./scope.ts";
import { run } from "./statement.ts";
import { constant, describeValue, type FunctionNode, type FunctionValue, poison, type Value } from "./value.ts";

/** What a call gives. Functions are written in place. */
export function call(r: Reader, callee: Value, args: readonly Value[], node: ts.CallExpression): Value {
  switch (callee.kind) {
    case "poison":
      return poison;
    case "function":
      return callFunction(r, callee, args, node);
    case "builtin":
      return callBuiltin(r, callee.op, callee.name, args, node);
    case "made":
      if (callee.by === "elementwise") return call(r, callee.of, args, node);
      return refuse(r, node, [
        "a reduction",
        "call it on tensors in the function given to defineKernel, and pass its result on as a parameter",
      ]);
    case "maker":
      return { kind: "made", by: callee.name, of: args[0] ?? poison };
    default:
  }
  const what = describeValue(callee);
  r.report.add("unsupported-syntax", node.expression, `${what} cannot be called in a kernel's arithmetic`, {
    hint:
      callee.kind === "foreign"
        ? "only functions of your own files, imported by a relative path, are read: write its arithmetic out, or call it on tensors in defineKernel"
        : "call a function of plain arithmetic or one of Math",
  });
  return poison;
}

function callBuiltin(r: Reader, op: string, name: string, args: readonly Value[], node: ts.CallExpression): Value {
  const arity = forms[op]?.arity;
  const wanted = arity ?? args.length;
  if (args.length !== wanted) return miscounted(r, name, wanted, args.length, node);
  return apply(r, op, args, node.arguments, node);
}

function miscounted(r: Reader, name: string, wanted: number, got: number, node: ts.Node): Value {
  r.report.add("unsupported-syntax", node, `${name} takes ${wanted} argument${wanted === 1 ? "" : "s"}, not ${got}`, {
    hint: "give one for each parameter",
  });
  return poison;
}

/** What a function gives for these arguments. */
export function callFunction(r: Reader, fn: FunctionValue, args: readonly Value[], at: ts.Node): Value {
  const { node } = fn;
  if (r.stack.includes(node)) {
    r.report.add("recursive-function", at, `${nameOf(node)} calls itself`, {
      hint: "write a for loop over constants instead",
    });
    return poison;
  }
  if (++r.calls > callLimit) {
    r.report.add("body-too-large", r.report.root ?? at, `a function makes more than ${callLimit} calls`, {
      hint: "compute what is used twice once, as a const",
    });
    return poison;
  }
  if (!plainFunction(r, node)) return poison;
  if (node.parameters.length !== args.length) {
    return miscounted(r, nameOf(node), node.parameters.length, args.length, at);
  }
  const scope = new Scope(fn.scope);
  if (ts.isFunctionExpression(node) && node.name) scope.declare(node.name.text, { kind: "value", value: fn });
  const outer = r.frame;
  r.frame = newFrame();
  r.stack.push(node);
  node.parameters.forEach((p, i) => {
    bindPattern(r, p.name, args[i] as Value, scope, scope, (value) => ({ kind: "value", value, parameter: true }));
  });
  const body = node.body as ts.ConciseBody;
  const result = ts.isBlock(body) ? ofBlock(r, body, scope) : evaluate(r, body, scope);
  r.stack.pop();
  r.frame = outer;
  return result;
}

function ofBlock(r: Reader, body: ts.Block, scope: Scope): Value {
  const before = r.report.times;
  const ends = run(r, body.statements, scope) === "returns";
  if (!ends) {
    if (r.report.times === before) {
      r.report.add("unsupported-syntax", body, "the function may end without a result", {
        hint: "return a value on every way: end with return",
      });
    }
    return poison;
  }
  const { returns } = r.frame;
  const last = returns[returns.length - 1];
  let result = last?.value ?? poison;
  for (const { path, value } of returns.slice(0, -1).reverse()) {
    const condition = path.reduce((a, b) => apply(r, "and", [a, b], [], body), constant(1, "bool") as Value);
    result = choose(r, condition, value, result, body);
  }
  return result;
}

const nameOf = (node: FunctionNode): string =>
  node.name && ts.isIdentifier(node.name) ? node.name.text : "the function";

/** Whether a function is one that bodies can hold; reports what it is not. */
function plainFunction(r: Reader, node: FunctionNode): boolean {
  const before = r.report.times;
  const isAsync = node.modifiers?.find((m) => m.kind === ts.SyntaxKind.AsyncKeyword);
  if (isAsync) refuse(r, isAsync, ["async", "a body runs on the GPU and waits for nothing: leave it out"]);
  if (node.asteriskToken) refuse(r, node.asteriskToken, ["a generator", "return an array or object of all results"]);
  if (!node.body) refuse(r, node, ["a function without a body", "give it one"]);
  for (const p of node.parameters) {
    if (p.dotDotDotToken) refuse(r, p, ["a rest parameter", "name the parameters"]);
    if (p.initializer) refuse(r, p.initializer, ["a default", "pass the value at every call, or make it a const"]);
    if (p.questionToken) refuse(r, p.questionToken, ["an optional parameter", "pass the value at every call"]);
    if (ts.isIdentifier(p.name) && p.name.text === "this") refuse(r, p, ["this", "take what is needed as a parameter"]);
  }
  return r.report.times === before;
}
