import { ts } from "ts-morph";
import type { KernelExport } from "./index.ts";
import { exportsOf } from "./library.ts";
import type { Module } from "./modules.ts";
import { placeOf } from "./report.ts";

/** The named exports of a file with their documentation. */
export function readExports(module: Module): KernelExport[] {
  return module.source.statements.flatMap((s) => {
    const names = exportsOf(s).filter((n) => n !== "default");
    return names.map((name): KernelExport => {
      const declaration = ts.isVariableStatement(s)
        ? s.declarationList.declarations.find((d) => ts.isIdentifier(d.name) && d.name.text === name)
        : undefined;
      const { line, column } = placeOf(declaration ?? s);
      const doc = docOf(s);
      const inputs = declaration?.initializer && inputDocs(declaration.initializer);
      return { name, line, column, ...(doc ? { doc } : {}), ...(inputs ? { inputs } : {}) };
    });
  });
}

/** The text of the last TSDoc comment above a node. */
function docOf(node: ts.Node): string | undefined {
  const text = node.getSourceFile().text;
  const comments = ts.getLeadingCommentRanges(text, node.pos) ?? [];
  const doc = comments.map((c) => text.slice(c.pos, c.end)).findLast((c) => c.startsWith("/**"));
  if (!doc) return undefined;
  return doc
    .slice(3, -2)
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, "").trimEnd())
    .join("\n")
    .trim();
}

/** Comments on the properties of the first object named `inputs`, also where a function gives it. */
function inputDocs(initializer: ts.Node): Record<string, string> | undefined {
  let found: ts.ObjectLiteralExpression | undefined;
  const visit = (node: ts.Node): void => {
    if (found) return;
    if (ts.isPropertyAssignment(node) && node.name.getText() === "inputs") found = objectIn(node.initializer);
    else ts.forEachChild(node, visit);
  };
  visit(initializer);
  const docs = (found?.properties ?? []).flatMap((p) => {
    const doc = docOf(p);
    return doc && p.name && ts.isIdentifier(p.name) ? [[p.name.text, doc] as const] : [];
  });
  return docs.length > 0 ? Object.fromEntries(docs) : undefined;
}

function objectIn(node: ts.Node): ts.ObjectLiteralExpression | undefined {
  if (ts.isObjectLiteralExpression(node)) return node;
  if (ts.isParenthesizedExpression(node)) return objectIn(node.expression);
  if (!ts.isArrowFunction(node)) return undefined;
  if (!ts.isBlock(node.body)) return objectIn(node.body);
  const last = node.body.statements.at(-1);
  return last && ts.isReturnStatement(last) && last.expression ? objectIn(last.expression) : undefined;
}
