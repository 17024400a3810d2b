import { fail } from "../../base/diagnostic.ts";
import { readOptions } from "../../frontend/options.ts";

/**
 * A model's configuration with defaults filled in. What has no default must be there; sizes are positive integers, and heads divide.
 * @throws SinterError `bad-option`, `unknown-option`
 */
export function readConfig<C extends object>(
  model: string,
  config: C,
  defaults: { readonly [K in keyof C]-?: C[K] | undefined },
): Required<C> {
  const c = readOptions(model, config, defaults) as Required<C>;
  for (const name of Object.keys(defaults)) {
    const value = (c as Record<string, unknown>)[name];
    if (value === undefined || (typeof value === "number" && !(value > 0))) {
      fail("bad-option", `${model}: ${name} is ${value}`, { hint: `write ${model}({ ${name}: 12, … })` });
    }
  }
  const n = c as Record<string, unknown>;
  for (const name of sizes) {
    if (typeof n[name] === "number" && !Number.isInteger(n[name])) {
      fail("bad-option", `${model}: ${name} is ${n[name]}, which is no integer`, {
        hint: `give ${name} as an integer`,
      });
    }
  }
  for (const [whole, part] of divisions) {
    const [a, b] = [n[whole], n[part]];
    if (typeof a !== "number" || typeof b !== "number" || a % b === 0) continue;
    fail("bad-option", `${model}: ${part} is ${b}, which does not divide ${whole}, ${a}`, {
      hint: `give a divisor of ${a}`,
    });
  }
  return c;
}

const sizes = ["layers", "width", "heads", "kvHeads", "vocabulary", "positions", "hidden"];
const divisions = [
  ["width", "heads"],
  ["heads", "kvHeads"],
] as const;
