import { isFloat } from "../base/dtype.ts";
import { enter } from "../frontend/enter.ts";
import { oneOf } from "../frontend/options.ts";
import type { TensorTree } from "../frontend/trace.ts";
import { cast } from "../frontend/unary.ts";
import { mapTensors, tensorsOf } from "./tree/leaves.ts";

/**
 * A tree with its floats as another float dtype; integers and bools stay. Casts go into the kernels that read the result:
 * a model of f16 parameters cast from f32 ones has no kernel more. Gradients by the tree given are in its own dtypes.
 * @throws SinterError `bad-tree`, `bad-option`
 */
export function castTree<P extends TensorTree>(tree: P, dtype: "f32" | "f16"): P {
  return enter(() => {
    oneOf("castTree", "dtype", dtype, ["f32", "f16"]);
    tensorsOf("castTree", "tree", tree);
    return mapTensors(tree, (_, x) => (x.dtype === dtype || !isFloat(x.dtype) ? x : cast(x, dtype))) as P;
  });
}
