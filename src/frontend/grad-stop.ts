import { enter } from "./enter.ts";
import { node, type Tensor, wrap } from "./tensor.ts";

/** x as a constant of differentiation: its value is used, and no derivative goes back through it. */
export function stopGradient(x: Tensor): Tensor {
  return enter((b) => wrap(b.add("stopGradient", [node("stopGradient", x)])));
}
