import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ts } from "ts-morph";
import { root } from "../../../scripts/bundle.mjs";

/** Error codes in the sources. */
export interface Codes {
  /** Given to a function that takes a code, or to a property `code`, with the place. */
  readonly raised: ReadonlyMap<string, string>;
  /** All strings, wherever they stand: codes of one word, and those in tables, are among them. */
  readonly mentioned: ReadonlySet<string>;
}

const form = /^[a-z]+(?:-[a-z0-9]+)+$/;

const sources = (): ts.SourceFile[] =>
  ["src", "codegen"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((f) => f.endsWith(".ts") && !/^catalogue\b/.test(f))
      .map((f) => join(folder, f))
      .map((f) => ts.createSourceFile(f, readFileSync(join(root, f), "utf8"), ts.ScriptTarget.ESNext, true)),
  );

/** Reads all of `src/` and `codegen/` but the catalogue. */
export function collectCodes(): Codes {
  const files = sources();
  const takers = new Map<string, number>();
  const each = (visit: (n: ts.Node) => void): void => {
    const walk = (n: ts.Node): void => {
      visit(n);
      ts.forEachChild(n, walk);
    };
    files.forEach(walk);
  };
  each((n) => {
    if (!ts.isParameter(n) || n.name.getText() !== "code") return;
    const fn = n.parent;
    const named = ts.isVariableDeclaration(fn.parent) ? fn.parent : fn;
    if (named.name) takers.set(named.name.getText(), fn.parameters.indexOf(n));
  });
  const raised = new Map<string, string>();
  const mentioned = new Set<string>();
  const note = (n: ts.Node | undefined): void => {
    if (!n) return;
    if (ts.isConditionalExpression(n)) [n.whenTrue, n.whenFalse].forEach(note);
    if (!ts.isStringLiteral(n) || !form.test(n.text)) return;
    const file = n.getSourceFile();
    raised.set(n.text, `${file.fileName}:${file.getLineAndCharacterOfPosition(n.getStart()).line + 1}`);
  };
  each((n) => {
    if (ts.isStringLiteral(n)) mentioned.add(n.text);
    if (ts.isPropertyAssignment(n) && n.name.getText() === "code") note(n.initializer);
    if (!ts.isCallExpression(n)) return;
    const callee = ts.isPropertyAccessExpression(n.expression) ? n.expression.name : n.expression;
    const at = takers.get(callee.getText());
    if (at !== undefined) note(n.arguments[at]);
  });
  return { raised, mentioned };
}
