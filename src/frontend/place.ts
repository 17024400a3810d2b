import { codeFrame } from "../base/code-frame.ts";
import { type Place, showFrames } from "../base/diagnostic.ts";

// Where places are noted, errors show the lines around them.
showFrames(codeFrame);

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

const framesOf = ({ stack }: { stack?: string }): Place[] =>
  typeof stack === "string" ? stack.split("\n").flatMap((l) => parseFrame(l) ?? []) : [];

// Stacks may be mapped to original sources, so this library is recognised by how stacks name it, not by the module's URL.
const own = framesOf(new Error())[0]?.file;
const home = own?.replace(/frontend[/\\]place\.[cm]?[jt]s$/, "");
const isOwn = (file: string): boolean => (home === own ? file === own : file.startsWith(home as string));

/**
 * Where the running code was called from outside this library: the first stack frame in a file of someone else. `above`
 * is the innermost function to leave out. Undefined when no stack can be read; line 0 when every frame is the library's,
 * as in a bundle of everything into one file without a source map.
 */
export function callerPlace(above: (...args: never) => unknown): Place | undefined {
  if (!home) return undefined;
  if (!capture) return foreign(new Error()) ?? unknown;
  const holder: { stack?: string } = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = depth;
  capture(holder, above);
  Error.stackTraceLimit = limit;
  return lazy(holder);
}

/** V8 and JavaScriptCore have it. */
const capture = Error.captureStackTrace as typeof Error.captureStackTrace | undefined;

/** Public functions note their place first thing, so few frames of the library are above the caller's. */
const depth = 8;
const unknown: Place = { file: "unknown", line: 0, column: 0 };

const foreign = (holder: { stack?: string }): Place | undefined => framesOf(holder).find((f) => !isOwn(f.file));

/** A stack costs little to take and much to write out, above all with source maps: few places are ever looked at. */
function lazy(holder: { stack?: string }): Place {
  let found: Place | undefined;
  const place = (): Place => {
    found ??= foreign(holder) ?? unknown;
    return found;
  };
  return {
    get file() {
      return place().file;
    },
    get line() {
      return place().line;
    },
    get column() {
      return place().column;
    },
  };
}
