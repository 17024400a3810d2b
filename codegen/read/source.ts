import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ts } from "ts-morph";
import { scopeAround } from "./declare.ts";
import { readExports } from "./exports.ts";
import type { KernelSource, ReadOptions } from "./index.ts";
import { Library, reportSyntax } from "./library.ts";
import { type Module, parse, readFromDisk } from "./modules.ts";
import { Report } from "./report.ts";
import { readElementwise, readReduction } from "./translate.ts";
import type { MakerName } from "./value.ts";

/** See `readKernelSource`. */
export function readSource(file: string, given: string | undefined, options: ReadOptions): KernelSource {
  const path = resolve(file);
  const read = options.read ?? readFromDisk;
  const text = given ?? read(path) ?? readFileSync(path, "utf8");
  const report = new Report();
  const library = new Library(report, read);
  const module = parse(path, text);
  if (module.syntaxErrors.length > 0) {
    reportSyntax(report, module);
    return { text, diagnostics: report.diagnostics, imports: [], exports: [] };
  }
  const insertions = makerCalls(library, module).flatMap(({ node, name }) => insertion(library, module, node, name));
  return {
    text: insert(text, insertions),
    diagnostics: report.diagnostics,
    imports: [...library.imports].filter((f) => f !== path).sort(),
    exports: readExports(module),
  };
}

interface Insertion {
  readonly at: number;
  readonly text: string;
}

/** The body of one call as its last argument; none where it has one already, or cannot be read. */
function insertion(library: Library, module: Module, node: ts.CallExpression, name: MakerName): Insertion[] {
  const { report } = library;
  const [first, second] = node.arguments;
  if (second) return [];
  if (!first) {
    report.add(
      "unsupported-syntax",
      node,
      `${name} takes ${name === "reduction" ? "an object of functions" : "a function"}`,
      {
        hint:
          name === "reduction"
            ? "write reduction({ init, map, combine, result })"
            : "write elementwise((x: number) => x * x)",
      },
    );
    return [];
  }
  report.root = node;
  const scope = scopeAround(library, module, node);
  const errors = report.times;
  const body = (name === "reduction" ? readReduction : readElementwise)(library, node, scope);
  report.root = undefined;
  if (!body || report.times > errors) return [];
  return [{ at: first.end, text: `, ${JSON.stringify(body)}` }];
}

function insert(text: string, insertions: readonly Insertion[]): string {
  let out = "";
  let from = 0;
  for (const { at, text: added } of [...insertions].sort((a, b) => a.at - b.at)) {
    out += text.slice(from, at) + added;
    from = at;
  }
  return out + text.slice(from);
}

/** Calls of sinter's `elementwise` and `reduction`, by whatever names the file imports them. */
function makerCalls(library: Library, module: Module): { node: ts.CallExpression; name: MakerName }[] {
  const names = importedNames(module);
  if (names.size === 0) return [];
  const found: { node: ts.CallExpression; name: MakerName }[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const name = makerOf(library, module, node.expression, names);
      if (name) found.push({ node, name });
    }
    ts.forEachChild(node, visit);
  };
  visit(module.source);
  return found;
}

/** Local names under which imports bring in the two functions, or a module that may have them. */
function importedNames(module: Module): Set<string> {
  const names = new Set<string>();
  for (const s of module.source.statements) {
    if (!ts.isImportDeclaration(s)) continue;
    const bindings = s.importClause?.namedBindings;
    if (!bindings) continue;
    if (ts.isNamespaceImport(bindings)) names.add(bindings.name.text);
    else {
      for (const e of bindings.elements) if (isMaker((e.propertyName ?? e.name).text)) names.add(e.name.text);
    }
  }
  return names;
}

const isMaker = (name: string): name is MakerName => name === "elementwise" || name === "reduction";

function makerOf(
  library: Library,
  module: Module,
  callee: ts.Expression,
  names: ReadonlySet<string>,
): MakerName | undefined {
  const root = ts.isPropertyAccessExpression(callee) ? callee.expression : callee;
  if (!ts.isIdentifier(root) || !names.has(root.text)) return undefined;
  if (root !== callee && !isMaker((callee as ts.PropertyAccessExpression).name.text)) return undefined;
  const binding = scopeAround(library, module, callee).find(root.text);
  if (binding?.kind !== "lazy") return undefined;
  const value = binding.read();
  const made =
    value.kind === "namespace" && root !== callee
      ? value.member((callee as ts.PropertyAccessExpression).name.text)
      : value;
  return made?.kind === "maker" ? made.name : undefined;
}
