import type { Place } from "../base/diagnostic.ts";

/** `at f (file:1:2)`, `at file:1:2` */
const v8 = /^\s*at (?:.*? \((.+):(\d+):(\d+)\)|(?:async )?(.+?):(\d+):(\d+))$/;
/** `f@file:1:2`, `@file:1:2` */
const gecko = /^[^@]*@(.+):(\d+):(\d+)$/;
/** Frames that belong to no source file. */
const nowhere = /^(eval at |node:|native|<anonymous>|\[native code\])|<anonymous>$| > (eval|Function)$/;

/** The place a stack frame of V8, SpiderMonkey or JavaScriptCore names; undefined for a frame without a source file. */
export function parseFrame(line: string): Place | undefined {
  const m = v8.exec(line) ?? gecko.exec(line);
  if (!m) return undefined;
  const [file, at, column] = m.slice(1).filter((s) => s !== undefined) as [string, string, string];
  return nowhere.test(file) ? undefined : { file: filePath(file), line: Number(at), column: Number(column) };
}

/** A path for a `file:` URL; queries that module servers append are dropped. */
export function filePath(file: string): string {
  const bare = file.replace(/[?#].*$/, "");
  if (!bare.startsWith("file://")) return bare;
  const path = bare.slice("file://".length).replace(/^\/([A-Za-z]:)/, "$1");
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

const framesOf = (error: Error): Place[] =>
  typeof error.stack === "string" ? error.stack.split("\n").flatMap((l) => parseFrame(l) ?? []) : [];

// Stacks may be mapped to original sources, so this library is recognised by how stacks name it, not by the module's URL.
const own = framesOf(new Error())[0]?.file;
const home = own?.replace(/frontend[/\\]place\.[cm]?[jt]s$/, "");
const isOwn = (file: string): boolean => (home === own ? file === own : file.startsWith(home as string));

/**
 * Where the running code was called from outside this library: the first stack frame in a file of someone else.
 * Undefined when the stack has none, as in a bundle of everything into one file without a source map.
 */
export function callerPlace(): Place | undefined {
  return find(24) ?? find(200);
}

function find(depth: number): Place | undefined {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = depth;
  const frames = framesOf(new Error());
  Error.stackTraceLimit = limit;
  return frames.find((f) => !isOwn(f.file));
}
