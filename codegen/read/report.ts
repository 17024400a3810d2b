import type { ts } from "ts-morph";
import type { Diagnostic, Place } from "../../src/base/diagnostic.ts";

/** Where a node begins. */
export function placeOf(node: ts.Node): Place {
  const source = node.getSourceFile();
  return placeAt(source, node.getStart(source));
}

export function placeAt(source: ts.SourceFile, position: number): Place {
  const { line, character } = source.getLineAndCharacterOfPosition(position);
  return { file: source.fileName, line: line + 1, column: character + 1 };
}

/** Collects what is wrong, each thing once however often its text is read. */
export class Report {
  readonly #found = new Map<string, Diagnostic>();
  #times = 0;
  /** The call whose body is being read: told where a diagnostic lies outside of it. */
  root: ts.Node | undefined;

  add(code: string, node: ts.Node, message: string, more: { readonly cause?: string; readonly hint: string }): void {
    this.at(code, placeOf(node), message, { ...this.#user(node), ...more });
  }

  at(code: string, place: Place, message: string, more: Omit<Diagnostic, "code" | "message" | "place">): void {
    this.#times++;
    const key = `${code} ${place.file}:${place.line}:${place.column}`;
    if (!this.#found.has(key)) this.#found.set(key, { code, message, ...more, place });
  }

  /** How often something was reported, the same things again included: grows where a part cannot be read. */
  get times(): number {
    return this.#times;
  }

  /** In the order of files and places. */
  get diagnostics(): Diagnostic[] {
    const order = (a: Place, b: Place): number =>
      (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line || a.column - b.column;
    return [...this.#found.values()].sort((a, b) => order(a.place as Place, b.place as Place));
  }

  #user(node: ts.Node): { readonly cause?: string } {
    const root = this.root;
    if (!root) return {};
    const inside = node.getSourceFile() === root.getSourceFile() && node.pos >= root.pos && node.end <= root.end;
    if (inside) return {};
    const { file, line, column } = placeOf(root);
    return { cause: `it is part of the function at ${file}:${line}:${column}` };
  }
}
