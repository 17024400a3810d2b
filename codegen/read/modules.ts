import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { Project, ts } from "ts-morph";

/** A parsed file. */
export interface Module {
  readonly file: string;
  readonly text: string;
  readonly source: ts.SourceFile;
  readonly syntaxErrors: readonly SyntaxFault[];
}

export interface SyntaxFault {
  readonly message: string;
  readonly position: number;
}

let project: Project | undefined;
const parsed = new Map<string, Module>();

/** One project for all files: it holds single files, follows no imports and knows no library. */
const theProject = (): Project =>
  (project ??= new Project({
    useInMemoryFileSystem: true,
    skipAddingFilesFromTsConfig: true,
    skipFileDependencyResolution: true,
    skipLoadingLibFiles: true,
    compilerOptions: { noLib: true, noResolve: true, allowJs: true, target: ts.ScriptTarget.ESNext },
  }));

/** A file parsed; as before when its text is. */
export function parse(file: string, text: string): Module {
  const known = parsed.get(file);
  if (known?.text === text) return known;
  const made = theProject().createSourceFile(file, text, { overwrite: true });
  const source = made.compilerNode;
  const module = { file, text, source, syntaxErrors: syntaxErrors(source) };
  parsed.set(file, module);
  return module;
}

/** What the parser noted. A program, which has them in public, would take in every file that was ever parsed. */
function syntaxErrors(source: ts.SourceFile): SyntaxFault[] {
  const { parseDiagnostics = [] } = source as { parseDiagnostics?: readonly ts.DiagnosticWithLocation[] };
  return parseDiagnostics.map((d) => ({
    message: ts.flattenDiagnosticMessageText(d.messageText, " "),
    position: d.start,
  }));
}

export type ReadText = (file: string) => string | undefined;

export function readFromDisk(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

const endings = ["", ".ts", ".tsx", ".mts", ".js", ".mjs", "/index.ts", "/index.js"];

/** The file that a relative specifier means, with its text: TypeScript's own, also where `.js` is written. */
export function resolveImport(
  from: string,
  specifier: string,
  read: ReadText,
): { file: string; text: string } | undefined {
  const path = resolve(dirname(from), specifier);
  const candidates = [path.replace(/\.js$/, ".ts"), path.replace(/\.mjs$/, ".mts"), ...endings.map((e) => path + e)];
  for (const file of new Set(candidates)) {
    const text = /\.[cm]?[jt]sx?$/.test(file) ? read(file) : undefined;
    if (text !== undefined) return { file, text };
  }
  return undefined;
}
