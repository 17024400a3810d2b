import { ts } from "ts-morph";
import { declareStatements } from "./declare.ts";
import { type Module, parse, type ReadText, resolveImport } from "./modules.ts";
import { placeAt, type Report } from "./report.ts";
import { type Binding, Scope } from "./scope.ts";
import { type Namespace, poison, type Value } from "./value.ts";

/** The package whose `elementwise` and `reduction` are read. */
const ownPackage = "sinter";

/** The files that one reading has looked into, and what their names mean. */
export class Library {
  readonly report: Report;
  readonly imports = new Set<string>();
  readonly #read: ReadText;
  readonly #scopes = new Map<Module, Scope>();
  readonly #exports = new Map<string, Value | undefined>();

  constructor(report: Report, read: ReadText) {
    this.report = report;
    this.#read = read;
  }

  /** Top-level names of a file. */
  scopeOf(module: Module): Scope {
    const known = this.#scopes.get(module);
    if (known) return known;
    const scope = new Scope();
    this.#scopes.set(module, scope);
    declareStatements(this, module, module.source.statements, scope);
    return scope;
  }

  /** What an import of `name` from `specifier` means; `node` is where it stands. `*` is the module itself. */
  imported(module: Module, specifier: string, name: string, node: ts.Node): Value {
    if (specifier === ownPackage) return ownExport(name);
    if (!specifier.startsWith(".")) {
      return name === "*" ? foreignNamespace(specifier) : { kind: "foreign", name, module: specifier };
    }
    const found = resolveImport(module.file, specifier, this.#read);
    if (!found) {
      this.report.add("unknown-name", node, `there is no file ${JSON.stringify(specifier)} beside ${module.file}`, {
        hint: "import functions of plain arithmetic by the path of their source",
      });
      return poison;
    }
    this.imports.add(found.file);
    const other = parse(found.file, found.text);
    if (other.syntaxErrors.length > 0) {
      reportSyntax(this.report, other);
      return poison;
    }
    if (name === "*") return this.#namespace(other);
    const value = this.exported(other, name);
    if (value) return value;
    this.report.add("unknown-name", node, `${found.file} exports no ${name}`, {
      hint: "export it there, or correct the name",
    });
    return poison;
  }

  #namespace(module: Module): Namespace {
    return {
      kind: "namespace",
      name: module.file,
      member: (name) => this.exported(module, name),
      names: () => exportedNames(module),
    };
  }

  /** What a file exports under a name. */
  exported(module: Module, name: string): Value | undefined {
    const key = `${name} ${module.file}`;
    if (this.#exports.has(key)) return this.#exports.get(key);
    // Files that export each other's names end here.
    this.#exports.set(key, undefined);
    const value = this.#find(module, name);
    this.#exports.set(key, value);
    return value;
  }

  #find(module: Module, name: string): Value | undefined {
    const scope = this.scopeOf(module);
    const stars: ts.ExportDeclaration[] = [];
    for (const s of module.source.statements) {
      if (ts.isExportAssignment(s) && name === "default") return this.readBinding(scope.own("default"), name, s);
      if (ts.isExportDeclaration(s)) {
        const specifier =
          s.moduleSpecifier && ts.isStringLiteral(s.moduleSpecifier) ? s.moduleSpecifier.text : undefined;
        if (!s.exportClause) stars.push(s);
        else if (ts.isNamespaceExport(s.exportClause)) {
          if (s.exportClause.name.text === name) return this.imported(module, specifier as string, "*", s);
        } else {
          const element = s.exportClause.elements.find((e) => e.name.text === name);
          const local = element && (element.propertyName ?? element.name).text;
          if (element && local !== undefined) {
            return specifier === undefined
              ? this.readBinding(scope.own(local), local, element)
              : this.imported(module, specifier, local, element);
          }
        }
      } else if (exportsOf(s).includes(name)) return this.readBinding(scope.own(name), name, s);
    }
    for (const s of stars) {
      const specifier = (s.moduleSpecifier as ts.StringLiteral).text;
      const found = specifier.startsWith(".") && resolveImport(module.file, specifier, this.#read);
      if (!found) continue;
      this.imports.add(found.file);
      const value = this.exported(parse(found.file, found.text), name);
      if (value) return value;
    }
    return undefined;
  }

  /** The value of a name that is no variable of the function being read. */
  readBinding(binding: Binding | undefined, name: string, node: ts.Node): Value | undefined {
    if (!binding) return undefined;
    if (binding.kind === "value") return binding.value;
    if (binding.kind === "lazy") return binding.read();
    const what = binding.kind === "outside" ? binding.what : "variable";
    const [message, hint] = outside[what];
    this.report.add("unsupported-syntax", node, `${name} ${message}`, { hint });
    return poison;
  }
}

const outside = {
  variable: ["is a variable outside of the function", "make it a const with a number, or a parameter"],
  parameter: ["is a parameter of a function around this one", "make it a parameter of this function too"],
  class: ["is a class", "use plain functions and objects"],
  enum: ["is an enum", "use constants: const first = 0, second = 1"],
} as const;

const ownExport = (name: string): Value => {
  if (name === "*") {
    const makers = ["elementwise", "reduction"];
    return { kind: "namespace", name: ownPackage, member: ownExport, names: () => makers };
  }
  return name === "elementwise" || name === "reduction"
    ? { kind: "maker", name }
    : { kind: "foreign", name, module: ownPackage };
};

const foreignNamespace = (module: string): Namespace => ({
  kind: "namespace",
  name: module,
  member: (name) => ({ kind: "foreign", name, module }),
  names: () => [],
});

/** Names that a statement declares and exports. */
export function exportsOf(s: ts.Statement): string[] {
  const flags = ts.canHaveModifiers(s) ? (ts.getModifiers(s) ?? []).map((m) => m.kind) : [];
  if (!flags.includes(ts.SyntaxKind.ExportKeyword)) return [];
  if (flags.includes(ts.SyntaxKind.DefaultKeyword)) return ["default"];
  if (ts.isVariableStatement(s)) return s.declarationList.declarations.flatMap((d) => namesOf(d.name));
  return ts.isFunctionDeclaration(s) && s.name ? [s.name.text] : [];
}

const exportedNames = (module: Module): string[] =>
  module.source.statements.flatMap((s) =>
    ts.isExportDeclaration(s) && s.exportClause && ts.isNamedExports(s.exportClause)
      ? s.exportClause.elements.map((e) => e.name.text)
      : exportsOf(s),
  );

/** Names that a pattern binds. */
export const namesOf = (name: ts.BindingName): string[] =>
  ts.isIdentifier(name)
    ? [name.text]
    : name.elements.flatMap((e) => (ts.isOmittedExpression(e) ? [] : namesOf(e.name)));

export function reportSyntax(report: Report, module: Module): void {
  for (const { message, position } of module.syntaxErrors) {
    report.at("syntax-error", placeAt(module.source, position), message, { hint: "correct the syntax of the file" });
  }
}
