import type { Plugin } from "esbuild";

export declare const root: string;
export declare function sinterFromSource(platform?: "node" | "browser"): Plugin;
export declare function bundleForNode(entry: string): Promise<string>;
export declare function bundleAllForNode(entries: readonly string[], outdir: string): Promise<string[]>;
