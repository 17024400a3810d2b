import * as k from "../../../kernels/optimiser.kernel.ts";
import {
  at,
  filled,
  flatSizes,
  type KernelCase,
  manyElements,
  of,
  type Sizes,
  total,
  type Values,
  wholeSizes,
} from "./case.ts";

const f = Math.fround;
const scalars = { lr: f(0.003), beta1: f(0.9), beta2: f(0.95), eps: f(1e-8), weightDecay: f(0.1), step: 7 };

function adamW({ params, grads, m, v }: Values, d: Sizes): { params: Float64Array; m: Float64Array; v: Float64Array } {
  const n = of(d, "n");
  const [lr, beta1, beta2, eps] = [of(d, "lr"), of(d, "beta1"), of(d, "beta2"), of(d, "eps")];
  const nextM = filled(n, (i) => beta1 * at(m, i) + (1 - beta1) * at(grads, i));
  const nextV = filled(n, (i) => beta2 * at(v, i) + (1 - beta2) * at(grads, i) ** 2);
  const next = filled(n, (i) => {
    const mean = at(nextM, i) / (1 - beta1 ** of(d, "step"));
    const square = at(nextV, i) / (1 - beta2 ** of(d, "step"));
    return at(params, i) * (1 - lr * of(d, "weightDecay")) - (lr * mean) / (Math.sqrt(square) + eps);
  });
  return { params: next, m: nextM, v: nextV };
}

const base = { sizes: flatSizes, large: manyElements } as const;
const draw = { v: [0, 0.5] } as const;

const normOf = (x: Float64Array): number => Math.sqrt(total(x.length, (i) => at(x, i) ** 2));

export const optimiserCases: readonly KernelCase[] = [
  { ...base, kernel: k.adamW, scalars, draw, reference: (x, d) => adamW(x, d) },
  {
    ...base,
    kernel: k.adamWCast,
    scalars,
    draw,
    reference(x, d) {
      const next = adamW(x, d);
      return { ...next, half: next.params };
    },
  },
  {
    ...base,
    kernel: k.sgd,
    scalars: { lr: f(0.1), momentum: f(0.9), weightDecay: f(0.01) },
    reference({ params, velocity, grads }, d) {
      const next = filled(
        of(d, "n"),
        (i) => of(d, "momentum") * at(velocity, i) + at(grads, i) + of(d, "weightDecay") * at(params, i),
      );
      return { params: filled(of(d, "n"), (i) => at(params, i) - of(d, "lr") * at(next, i)), velocity: next };
    },
  },
  {
    ...base,
    kernel: k.gradAccumulate,
    scalars: { scale: 0.125 },
    reference: ({ acc, grads }, d) => ({
      acc: filled(of(d, "n"), (i) => at(acc, i) + at(grads, i) * of(d, "scale")),
    }),
  },
  {
    ...base,
    sizes: wholeSizes,
    kernel: k.globalNorm,
    steps: 2,
    reference: ({ grads }) => ({ norm: filled(1, () => normOf(grads as Float64Array)) }),
  },
  {
    ...base,
    sizes: wholeSizes,
    kernel: k.globalNormClip,
    steps: 3,
    scalars: { maxNorm: 1.5 },
    reference({ grads }, d) {
      const norm = normOf(grads as Float64Array);
      const factor = Math.min(1, of(d, "maxNorm") / (norm + 1e-6));
      return { norm: filled(1, () => norm), grads: (grads as Float64Array).map((g) => g * factor) };
    },
  },
];
