import { defineKernel, dim, gelu, matmul as matmulOf, relu, silu, sum, type Tensor, transpose } from "sinter";
import { like, wide } from "./precision.ts";

const rows = dim("rows", { hint: 1024 });
const inner = dim("inner", { hint: 768 });
const cols = dim("cols", { hint: 1536 });

type Activation = (x: Tensor) => Tensor;
const geluTanh: Activation = (x) => gelu(x, { approximate: "tanh" });
const none: Activation = (x) => x;

/** Sizes of a weight: [inner, cols], or [cols, inner] as torch.nn.Linear stores it. */
const weightShape = (transposed: boolean) => (transposed ? ([cols, inner] as const) : ([inner, cols] as const));

const affine = (x: Tensor, w: Tensor, bias: Tensor, transposed: boolean): Tensor =>
  matmulOf(wide(x), wide(w), { transposeB: transposed }).add(wide(bias));

/** y = activation(x w + bias). */
const linearKernel = (name: string, activation: Activation, transposed = false) =>
  defineKernel(
    {
      name,
      inputs: (float) => ({ x: float(rows, inner), w: float(...weightShape(transposed)), bias: float(cols) }),
    },
    ({ x, w, bias }) => ({ y: like(activation(affine(x, w, bias, transposed)), x) }),
  );

/** y = activation(x w + bias) + residual. */
const residualKernel = (name: string, activation: Activation, transposed = false) =>
  defineKernel(
    {
      name,
      inputs: (float) => ({
        x: float(rows, inner),
        w: float(...weightShape(transposed)),
        bias: float(cols),
        residual: float(rows, cols),
      }),
    },
    ({ x, w, bias, residual }) => ({
      y: like(activation(affine(x, w, bias, transposed)).add(wide(residual)), x),
    }),
  );

/** y = a b. */
const matmulKernel = (name: string, transposed: boolean) =>
  defineKernel(
    { name, inputs: (float) => ({ a: float(rows, inner), b: float(...weightShape(transposed)) }) },
    ({ a, b }) => ({ y: like(matmulOf(wide(a), wide(b), { transposeB: transposed }), a) }),
  );

/** The gradients of linear by x, w and bias; the bias's is computed by the kernel of the weight's. */
const backwardKernel = (name: string, transposed: boolean) =>
  defineKernel(
    {
      name,
      inputs: (float) => ({ x: float(rows, inner), w: float(...weightShape(transposed)), dy: float(rows, cols) }),
    },
    ({ x, w, dy }) => {
      const [from, ct] = [wide(x), wide(dy)];
      const [a, b] = transposed ? [ct, from] : [from, ct];
      return {
        dx: like(matmulOf(ct, wide(w), { transposeB: !transposed }), x),
        dw: like(matmulOf(transpose(a, [1, 0]), b), w),
        dbias: like(sum(ct, { axes: 0 }), w),
      };
    },
  );

/** y = a b: a [rows, inner], b [inner, cols]. */
export const matmul = matmulKernel("matmul", false);

/** y = a bᵀ: a [rows, inner], b [cols, inner]. */
export const matmulT = matmulKernel("matmulT", true);

/** y = x w + bias. */
export const linear = linearKernel("linear", none);

/** y = relu(x w + bias). */
export const linearRelu = linearKernel("linearRelu", relu);

/** y = gelu(x w + bias), the exact GELU. */
export const linearGelu = linearKernel("linearGelu", gelu);

/** y = gelu(x w + bias) in GELU's tanh form, as GPT-2's feed-forward layer has it. */
export const linearGeluTanh = linearKernel("linearGeluTanh", geluTanh);

/** y = silu(x w + bias). */
export const linearSilu = linearKernel("linearSilu", silu);

/** y = x w + bias + residual. */
export const linearResidual = residualKernel("linearResidual", none);

/** y = relu(x w + bias) + residual. */
export const linearReluResidual = residualKernel("linearReluResidual", relu);

/** y = gelu(x w + bias) + residual, the exact GELU. */
export const linearGeluResidual = residualKernel("linearGeluResidual", gelu);

/** y = silu(x w + bias) + residual. */
export const linearSiluResidual = residualKernel("linearSiluResidual", silu);

/** y = x wᵀ + bias: w [cols, inner], as torch.nn.Linear stores it. */
export const linearT = linearKernel("linearT", none, true);

/** y = relu(x wᵀ + bias): w [cols, inner]. */
export const linearReluT = linearKernel("linearReluT", relu, true);

/** y = gelu(x wᵀ + bias), the exact GELU: w [cols, inner]. */
export const linearGeluT = linearKernel("linearGeluT", gelu, true);

/** y = silu(x wᵀ + bias): w [cols, inner]. */
export const linearSiluT = linearKernel("linearSiluT", silu, true);

/** y = x wᵀ + bias + residual: w [cols, inner]. */
export const linearResidualT = residualKernel("linearResidualT", none, true);

/** The gradients of `linear` by x, w and bias. */
export const linearBackward = backwardKernel("linearBackward", false);

/** The gradients of `linearT` by x, w [cols, inner] and bias. */
export const linearBackwardT = backwardKernel("linearBackwardT", true);
