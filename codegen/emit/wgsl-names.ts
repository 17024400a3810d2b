import type { Token } from "./wgsl-tokens.ts";

const lower = "abcdefghijklmnopqrstuvwxyz";

/** Names that are no words of WGSL, and not among `taken`: a letter, or a letter and digits. */
function shortNames(count: number, letters: string, taken: ReadonlySet<string>): string[] {
  const out: string[] = [];
  for (let n = -1; out.length < count; n++) {
    out.push(...[...letters].map((l) => (n < 0 ? l : `${l}${n}`)).filter((name) => !taken.has(name)));
  }
  return out.slice(0, count);
}

/**
 * The tokens with short names for what is declared in them, save what others may know by its name: entry points, overrides,
 * bindings and members of structs. The names of a block are taken again by the next block, and those of functions begin at the
 * same letter in every text, so that repeated code is equal and compresses.
 */
export function shortNamed(tokens: readonly Token[]): Token[] {
  const { globals, locals } = new Names(tokens);
  const renamed = (i: number): boolean => globals.has(i) || locals.has(i);
  const taken = new Set(
    tokens.flatMap((t, i) => (t.kind === "word" && !renamed(i) && !isMember(tokens, i) ? t.text : [])),
  );
  const count = (numbers: ReadonlyMap<number, number>): number => 1 + Math.max(-1, ...numbers.values());
  const outer = shortNames(count(globals), lower.toUpperCase(), taken);
  const inner = shortNames(count(locals), lower, taken);
  return tokens.map((t, i) => {
    const text = outer[globals.get(i) ?? -1] ?? inner[locals.get(i) ?? -1];
    return text === undefined ? t : { ...t, text };
  });
}

const isMember = (tokens: readonly Token[], i: number): boolean => tokens[i - 1]?.text === ".";

interface Scope {
  /** The number of each name: names of disjoint blocks have the same numbers. */
  readonly names: Map<string, number>;
  /** Names of the scopes around it and its own. */
  live: number;
}

/** Attributes whose arguments are words of WGSL. */
const wordy = new Set(["builtin", "interpolate", "diagnostic"]);

/** For the index of each token that names something declared in the text its number, at module scope and in functions. */
class Names {
  readonly globals = new Map<number, number>();
  readonly locals = new Map<number, number>();
  readonly #module = new Map<string, number>();
  readonly #scopes: Scope[] = [];
  readonly #tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
    for (const name of moduleNames(tokens)) if (!this.#module.has(name)) this.#module.set(name, this.#module.size);
    for (let i = 0; i < tokens.length; ) i = this.#global(i);
  }

  #is(i: number, text: string): boolean {
    return this.#tokens[i]?.text === text;
  }

  #open(): void {
    this.#scopes.push({ names: new Map(), live: this.#scopes.at(-1)?.live ?? 0 });
  }

  #declare(at: number): void {
    const scope = this.#scopes.at(-1) as Scope;
    this.locals.set(at, scope.live);
    scope.names.set((this.#tokens[at] as Token).text, scope.live++);
  }

  #resolve(at: number): void {
    const { kind, text } = this.#tokens[at] as Token;
    if (kind !== "word" || isMember(this.#tokens, at)) return;
    const own = this.#scopes.findLast((s) => s.names.has(text))?.names.get(text);
    const outer = this.#module.get(text);
    if (own !== undefined) this.locals.set(at, own);
    else if (outer !== undefined) this.globals.set(at, outer);
  }

  /** A token at module scope, or a whole function, struct, attribute or directive. */
  #global(at: number): number {
    if (this.#is(at, "@")) return this.#attribute(at);
    if (this.#is(at, "fn")) return this.#function(at);
    if (this.#is(at, "struct")) return this.#struct(at);
    if (["enable", "requires", "diagnostic"].some((d) => this.#is(at, d))) {
      let end = at;
      while (end < this.#tokens.length && !this.#is(end, ";")) end++;
      return end;
    }
    this.#resolve(at);
    return at + 1;
  }

  #attribute(at: number): number {
    if (!this.#is(at + 2, "(")) return at + 2;
    const end = closing(this.#tokens, at + 2);
    if (!wordy.has(this.#tokens[at + 1]?.text ?? "")) for (let i = at + 3; i < end; i++) this.#resolve(i);
    return end + 1;
  }

  #struct(at: number): number {
    this.#resolve(at + 1);
    let i = at + 2;
    while (i < this.#tokens.length && !this.#is(i, "}")) {
      if (this.#is(i, "@")) i = this.#attribute(i);
      else {
        if (!this.#is(i + 1, ":")) this.#resolve(i);
        i++;
      }
    }
    return i + 1;
  }

  /** A function from `fn` to the end of its body. Types of its head are looked up outside of it. */
  #function(at: number): number {
    this.#resolve(at + 1);
    const end = closing(this.#tokens, at + 2);
    const parameters: number[] = [];
    let i = at + 3;
    while (i < this.#tokens.length && !this.#is(i, "{")) {
      if (this.#is(i, "@")) i = this.#attribute(i);
      else {
        if (i < end && this.#tokens[i]?.kind === "word" && this.#is(i + 1, ":")) parameters.push(i);
        else this.#resolve(i);
        i++;
      }
    }
    this.#open();
    for (const p of parameters) this.#declare(p);
    i = this.#block(i);
    this.#scopes.pop();
    return i;
  }

  /** A block from `{` to past `}`. */
  #block(at: number): number {
    this.#open();
    let i = at + 1;
    while (i < this.#tokens.length && !this.#is(i, "}")) {
      i = this.#is(i, "for") ? this.#loop(i) : this.#is(i, "{") ? this.#block(i) : this.#piece(i);
    }
    this.#scopes.pop();
    return i + 1;
  }

  /** `for (…) { … }`: what its head declares is seen in its body too. */
  #loop(at: number): number {
    this.#open();
    const end = closing(this.#tokens, at + 1);
    let i = at + 2;
    while (i < end) i = this.#piece(i);
    i = this.#block(end + 1);
    this.#scopes.pop();
    return i;
  }

  /** One token, or a declaration up to its `;`: a name is not yet seen in its own initial value. */
  #piece(at: number): number {
    if (this.#is(at, "@")) return this.#attribute(at);
    if (!["let", "var", "const"].some((d) => this.#is(at, d))) {
      this.#resolve(at);
      return at + 1;
    }
    const name = this.#is(at + 1, "<") ? closing(this.#tokens, at + 1) + 1 : at + 1;
    let i = name + 1;
    while (i < this.#tokens.length && !this.#is(i, ";")) i = this.#piece(i);
    this.#declare(name);
    return i + 1;
  }
}

/** From an opening bracket to the one that closes it. */
function closing(tokens: readonly Token[], from: number): number {
  const a = tokens[from]?.text;
  const b = a === "(" ? ")" : ">";
  let depth = 0;
  for (let i = from; i < tokens.length; i++) {
    if (tokens[i]?.text === a) depth++;
    else if (tokens[i]?.text === b && --depth === 0) return i;
  }
  return tokens.length;
}

/** Names of functions, variables, constants, structs and aliases that are the text's own affair. */
function moduleNames(tokens: readonly Token[]): string[] {
  const out: string[] = [];
  let depth = 0;
  let attributes = new Set<string>();
  for (let i = 0; i < tokens.length; i++) {
    const { text } = tokens[i] as Token;
    if (text === "{") depth++;
    if (text === "}") depth--;
    if (depth > 0) continue;
    if (text === "@") attributes.add(tokens[i + 1]?.text ?? "");
    const known = ["compute", "vertex", "fragment", "group", "binding", "id"].some((a) => attributes.has(a));
    if (!known && ["fn", "var", "const", "struct", "alias"].includes(text)) {
      const name = tokens[i + 1]?.text === "<" ? closing(tokens, i + 1) + 1 : i + 1;
      if (tokens[name]) out.push((tokens[name] as Token).text);
    }
    if (text === ";" || text === "}") attributes = new Set();
  }
  return out;
}
