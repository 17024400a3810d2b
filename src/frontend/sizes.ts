import { type Dim, dimFloorDiv, dimMul, dimText, isSym, type Shape } from "../ir/dim.ts";

interface Product {
  coefficient: number;
  readonly atoms: Map<string, { readonly dim: Dim; count: number }>;
}

function factors(shape: Shape): Product {
  const out: Product = { coefficient: 1, atoms: new Map() };
  const visit = (d: Dim): void => {
    if (!isSym(d)) out.coefficient *= d;
    else if (d.dim === "mul") {
      visit(d.a);
      visit(d.b);
    } else {
      const name = dimText(d);
      const atom = out.atoms.get(name);
      if (atom) atom.count++;
      else out.atoms.set(name, { dim: d, count: 1 });
    }
  };
  shape.forEach(visit);
  return out;
}

const productOf = (p: Product): Dim => {
  let d: Dim = 1;
  for (const a of p.atoms.values()) for (let i = 0; i < a.count; i++) d = dimMul(d, a.dim);
  return dimMul(d, p.coefficient);
};

/**
 * How often `by` elements go into `shape`: an exact quotient where common factors show it, else a rounded-down quotient
 * that is checked once dims are bound. Undefined when known sizes do not divide.
 */
export function quotient(shape: Shape, by: Shape): Dim | undefined {
  const top = factors(shape);
  const bottom = factors(by);
  for (const [name, b] of bottom.atoms) {
    const t = top.atoms.get(name);
    const common = Math.min(t?.count ?? 0, b.count);
    if (t) t.count -= common;
    b.count -= common;
  }
  const known = [...top.atoms.values(), ...bottom.atoms.values()].every((a) => a.count === 0);
  if (bottom.coefficient === 0) return undefined;
  if (top.coefficient % bottom.coefficient === 0) {
    top.coefficient /= bottom.coefficient;
    bottom.coefficient = 1;
  } else if (known) return undefined;
  return dimFloorDiv(productOf(top), productOf(bottom));
}
