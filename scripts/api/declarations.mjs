// Reads what an entry exports: each name with its TSDoc and its declaration as TypeScript, bodies left out.
import { join, relative } from "node:path";
import ts from "typescript";
import { root } from "../exports.mjs";

/** A program of the given sources, as tsconfig.json has it. */
export function programOf(files) {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  return ts.createProgram(
    files.map((f) => join(root, f)),
    options,
  );
}

/** The comment before the first statement of a module: what the entry is. */
export function moduleDoc(program, file) {
  const [first] = program.getSourceFile(join(root, file)).statements;
  const isLink = first && (ts.isExportDeclaration(first) || ts.isImportDeclaration(first));
  return (isLink && ts.getTextOfJSDocComment(first.jsDoc?.[0]?.comment)) || "";
}

/** What a module exports, by name. */
export function exportsOf(program, file) {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(join(root, file)));
  if (!module) return [];
  return checker
    .getExportsOfModule(module)
    .map((symbol) => {
      const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      const declarations = signatures(target.declarations ?? []);
      if (declarations.length === 0) throw new Error(`${file}: ${symbol.name} is exported and declared nowhere`);
      const docs = declarations.map(docOf);
      return {
        name: symbol.name,
        kind: kindOf(declarations),
        // A name that two entries export is one thing when it is declared at one place.
        id: declarations.map((d) => `${relative(root, d.getSourceFile().fileName)}:${d.pos}`).join(),
        internal: docs.some((d) => d.internal),
        doc: docs.find((d) => d.text) ?? docs[0],
        code: unlinked(declarations.map((d) => codeOf(d, checker)).join("\n")),
      };
    })
    .filter((e, _, all) => !e.internal && !(e.name === "default" && all.some((o) => o !== e && o.id === e.id)))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** TypeScript is shown as it is, where links are no links. */
const unlinked = (code) => code.replace(/\{@link\s+([^\s|}]+)[^}]*\}/g, "`$1`");

/** Of an overloaded function the overloads without the implementation. */
function signatures(declarations) {
  const bodiless = declarations.filter((d) => ts.isFunctionDeclaration(d) && !d.body);
  return bodiless.length > 0 ? declarations.filter((d) => !ts.isFunctionDeclaration(d) || !d.body) : declarations;
}

const kindOf = (declarations) => {
  const is = (test) => declarations.some(test);
  if (is(ts.isClassDeclaration)) return "class";
  if (is((d) => ts.isFunctionDeclaration(d) || functionOf(d) !== undefined)) return "function";
  return is(ts.isVariableDeclaration) ? "constant" : "type";
};

/** The function that a constant is, if it is written as one. */
function functionOf(d) {
  const value = ts.isVariableDeclaration(d) && !d.type ? d.initializer : undefined;
  return value && (ts.isArrowFunction(value) || ts.isFunctionExpression(value)) ? value : undefined;
}

/** A TSDoc comment as data. */
function docOf(node) {
  const blocks = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  const last = blocks.at(-1);
  const text = (comment) => (ts.getTextOfJSDocComment(comment) ?? "").trim();
  const tags = (last?.tags ?? []).map((t) => ({
    tag: t.tagName.text,
    name: ts.isJSDocParameterTag(t) ? t.name.getText() : undefined,
    // The parser takes a class name apart as a type.
    text: [ts.isJSDocThrowsTag(t) ? t.typeExpression?.getText() : undefined, text(t.comment).replace(/^-\s+/, "")]
      .filter(Boolean)
      .join(" "),
  }));
  return { text: last ? text(last.comment) : "", tags, internal: tags.some((t) => t.tag === "internal") };
}

/** A declaration without bodies, initial values and `export`. */
function codeOf(d, checker) {
  const name = d.name?.text ?? "default";
  if (ts.isFunctionDeclaration(d)) return `function ${name}${signatureOf(d, checker)};`;
  const fn = functionOf(d);
  if (fn) return `function ${name}${signatureOf(fn, checker)};`;
  if (ts.isVariableDeclaration(d))
    return `const ${name}: ${d.type?.getText() ?? typeText(checker.getTypeAtLocation(d), d, checker)};`;
  if (ts.isClassDeclaration(d) || ts.isInterfaceDeclaration(d)) return membersOf(d, checker);
  return d.getText().replace(/^(?:export|declare)\s+/, "");
}

/** An inferred type; of an object that is too long for a page its properties' names. */
function typeText(type, at, checker) {
  const text = checker.typeToString(type, at, ts.TypeFormatFlags.NoTruncation);
  const names = checker.getPropertiesOfType(type).map((p) => `${p.name}: …`);
  return text.length > 300 && names.length > 0 ? `{ ${names.join("; ")} }` : text;
}

/** Type parameters, parameters and result of a function as written; a result that is not written is worked out. */
function signatureOf(f, checker) {
  const text = f.getSourceFile().text;
  const open = f
    .getChildren()
    .find((c) => c.kind === ts.SyntaxKind.LessThanToken || c.kind === ts.SyntaxKind.OpenParenToken);
  const close = f.getChildren().findLast((c) => c.kind === ts.SyntaxKind.CloseParenToken);
  const head = open ? text.slice(open.getStart(), close.end) : `(${f.parameters.map((p) => p.getText()).join(", ")})`;
  if (ts.isConstructorDeclaration(f) || ts.isSetAccessor(f)) return head;
  const signature = checker.getSignatureFromDeclaration(f);
  const result = f.type?.getText() ?? typeText(checker.getReturnTypeOfSignature(signature), f, checker);
  return `${head}: ${result}`;
}

/** A class or interface with its public members and their comments. */
function membersOf(d, checker) {
  const text = d.getSourceFile().text;
  const start = d
    .getChildren()
    .find((c) => c.kind === ts.SyntaxKind.OpenBraceToken)
    .getStart();
  const head = text
    .slice(d.getStart(), start)
    .trim()
    .replace(/^(?:export\s+|declare\s+)+/, "");
  const overloaded = new Set(
    d.members.filter((m) => ts.isMethodDeclaration(m) && !m.body).map((m) => m.name.getText()),
  );
  const shown = d.members.filter(
    (m) => isPublic(m) && !docOf(m).internal && !(m.body && overloaded.has(m.name?.getText())),
  );
  const lines = shown.map((m) => {
    const comment = ts.getJSDocCommentsAndTags(m).filter(ts.isJSDoc).at(-1);
    return `${comment ? `  ${text.slice(comment.pos, comment.end)}\n` : ""}  ${memberCode(m, checker)}\n`;
  });
  return lines.length > 0 ? `${head} {\n${lines.join("")}}` : `${head} {}`;
}

const isPublic = (m) =>
  !(ts.getCombinedModifierFlags(m) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) &&
  !(m.name && ts.isPrivateIdentifier(m.name)) &&
  !ts.isClassStaticBlockDeclaration(m);

function memberCode(m, checker) {
  const modifiers = (m.modifiers ?? [])
    .filter((k) => k.kind !== ts.SyntaxKind.AsyncKeyword && k.kind !== ts.SyntaxKind.DeclareKeyword)
    .map((k) => `${k.getText()} `)
    .join("");
  if (ts.isConstructorDeclaration(m)) return `constructor${signatureOf(m, checker)};`;
  const name = `${m.name?.getText() ?? ""}${m.questionToken ? "?" : ""}`;
  if (ts.isGetAccessor(m)) return `${modifiers}get ${name}${signatureOf(m, checker)};`;
  if (ts.isSetAccessor(m)) return `${modifiers}set ${name}${signatureOf(m, checker)};`;
  if (ts.isMethodDeclaration(m)) return `${modifiers}${name}${signatureOf(m, checker)};`;
  if (ts.isPropertyDeclaration(m)) {
    return `${modifiers}${name}: ${m.type?.getText() ?? typeText(checker.getTypeAtLocation(m), m, checker)};`;
  }
  return m.getText();
}
