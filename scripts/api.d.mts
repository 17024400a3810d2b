export declare function api(): {
  readonly pages: ReadonlyMap<string, string>;
  readonly undocumented: readonly string[];
};
export declare function stale(pages: ReadonlyMap<string, string>, folder?: string): string[];
