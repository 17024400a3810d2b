import { methods } from "./methods.ts";
import { type Tensor, TensorCore } from "./tensor.ts";

/** Gives tensors their methods. A call and not an effect of importing, so that bundlers may drop what is unused. */
export function attachMethods(): void {
  if (Object.hasOwn(TensorCore.prototype, "add")) return;
  for (const [name, fn] of Object.entries(methods) as [string, (x: Tensor, ...rest: unknown[]) => unknown][]) {
    Object.defineProperty(TensorCore.prototype, name, {
      value(this: Tensor, ...rest: unknown[]) {
        return fn(this, ...rest);
      },
      configurable: true,
      writable: true,
    });
  }
}
