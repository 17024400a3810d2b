import { ts } from "ts-morph";
import { evaluate } from "./expression.ts";
import { type Library, namesOf } from "./library.ts";
import type { Module } from "./modules.ts";
import { bindPattern } from "./pattern.ts";
import { newReader } from "./reader.ts";
import { type Binding, Scope } from "./scope.ts";
import { poison, type Value } from "./value.ts";

/** Declares what statements outside of the function being read declare. Constants are read when they are used. */
export function declareStatements(
  library: Library,
  module: Module,
  statements: readonly ts.Statement[],
  scope: Scope,
): void {
  for (const s of statements) {
    if (ts.isImportDeclaration(s)) declareImports(library, module, s, scope);
    else if (ts.isVariableStatement(s)) declareVariables(library, s.declarationList, scope);
    else if (ts.isFunctionDeclaration(s)) {
      const value: Value = { kind: "function", node: s, scope };
      scope.declare(s.name?.text ?? "default", { kind: "value", value });
      if (s.name && s.modifiers?.some((m) => m.kind === ts.SyntaxKind.DefaultKeyword)) {
        scope.declare("default", { kind: "value", value });
      }
    } else if (ts.isExportAssignment(s)) scope.declare("default", constantOf(library, s.expression, scope));
    else if (ts.isClassDeclaration(s) && s.name)
      scope.declare(s.name.text, { kind: "outside", what: "class", node: s });
    else if (ts.isEnumDeclaration(s)) scope.declare(s.name.text, { kind: "outside", what: "enum", node: s });
  }
}

function declareImports(library: Library, module: Module, s: ts.ImportDeclaration, scope: Scope): void {
  const clause = s.importClause;
  const specifier = (s.moduleSpecifier as ts.StringLiteral).text;
  if (!clause || clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return;
  const declare = (name: ts.Identifier, of: string): void =>
    scope.declare(
      name.text,
      once(library, s, () => library.imported(module, specifier, of, s.moduleSpecifier)),
    );
  if (clause.name) declare(clause.name, "default");
  const bindings = clause.namedBindings;
  if (bindings && ts.isNamespaceImport(bindings)) declare(bindings.name, "*");
  else if (bindings) {
    for (const e of bindings.elements) if (!e.isTypeOnly) declare(e.name, (e.propertyName ?? e.name).text);
  }
}

function declareVariables(library: Library, list: ts.VariableDeclarationList, scope: Scope): void {
  const isConst = (list.flags & ts.NodeFlags.Const) !== 0;
  for (const d of list.declarations) {
    if (!isConst || !d.initializer) {
      for (const name of namesOf(d.name)) scope.declare(name, { kind: "outside", what: "variable", node: d });
    } else if (ts.isIdentifier(d.name)) scope.declare(d.name.text, constantOf(library, d.initializer, scope));
    else {
      const pattern = d.name;
      const given = constantOf(library, d.initializer, scope);
      let parts: Scope | undefined;
      const bind = (): Scope => {
        const made = new Scope();
        bindPattern(newReader(library), pattern, given.read(), made, scope);
        return made;
      };
      for (const name of namesOf(pattern)) {
        const read = (): Value => {
          parts ??= bind();
          return library.readBinding(parts.own(name), name, d) ?? poison;
        };
        scope.declare(name, { kind: "lazy", read });
      }
    }
  }
}

type Lazy = Extract<Binding, { kind: "lazy" }>;

const constantOf = (library: Library, initializer: ts.Expression, scope: Scope): Lazy =>
  once(library, initializer, () => evaluate(newReader(library), initializer, scope));

/** A value that is read the first time it is asked for; one that asks for itself is refused. */
function once(library: Library, node: ts.Node, make: () => Value): Lazy {
  let value: Value | undefined;
  let busy = false;
  const read = (): Value => {
    if (value) return value;
    if (busy) {
      library.report.add("recursive-function", node, "this is defined by itself", {
        hint: "give it a value that does not need it",
      });
      return poison;
    }
    busy = true;
    value = make();
    busy = false;
    return value;
  };
  return { kind: "lazy", read };
}

/** What names mean where `node` stands, which may be inside functions and blocks. */
export function scopeAround(library: Library, module: Module, node: ts.Node): Scope {
  const around: ts.Node[] = [];
  for (let n = node.parent; n && !ts.isSourceFile(n); n = n.parent) around.unshift(n);
  let scope = library.scopeOf(module);
  for (const n of around) {
    const inner = new Scope(scope);
    if (ts.isFunctionLike(n)) {
      const own = ts.isFunctionExpression(n) && n.name ? [n.name.text] : [];
      for (const name of [...own, ...n.parameters.flatMap((p) => namesOf(p.name))]) {
        inner.declare(name, { kind: "outside", what: "parameter", node: n });
      }
    } else if (ts.isBlock(n)) declareStatements(library, module, n.statements, inner);
    else if ((ts.isForStatement(n) || ts.isForOfStatement(n) || ts.isForInStatement(n)) && n.initializer) {
      if (!ts.isVariableDeclarationList(n.initializer)) continue;
      for (const name of n.initializer.declarations.flatMap((d) => namesOf(d.name))) {
        inner.declare(name, { kind: "outside", what: "variable", node: n });
      }
    } else continue;
    scope = inner;
  }
  return scope;
}
