import { fail } from "../base/diagnostic.ts";
import { describe } from "./describe.ts";

/** Fails with `bad-arguments` unless a value has what a session has, whichever copy of this package loaded it. */
export function checkSession(call: string, v: unknown, part: "loaded" | "made"): void {
  if (typeof v === "object" && v !== null && part in v) return;
  let hint = "load the program: const session = await program.load(gpu)";
  if (v instanceof Promise) hint = "await it: const session = await program.load(gpu)";
  else if (typeof v === "object" && v !== null && "inner" in v)
    hint = 'it is one of "sinter": write session.batch(), or profile of "sinter"';
  else if (typeof v === "object" && v !== null && "manifest" in v && part === "made" && typeof v.manifest === "object")
    hint = 'it is one of "sinter/runtime": write profile of "sinter/runtime"';
  fail("bad-arguments", `${call} takes a session, not ${describe(v)}`, { hint });
}
