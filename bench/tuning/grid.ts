import {
  attention,
  compile,
  f16,
  f32,
  layerNorm,
  matmul,
  type Program,
  softmax,
  sum,
  type Tensor,
  transpose,
} from "sinter";

type Shape = readonly number[];
interface Plain {
  readonly shapes: readonly Shape[];
  make(...args: Tensor[]): Tensor;
}

const swap = (x: Tensor): Tensor => transpose(x, [1, 0]);

/** Products of rows and columns in the three orders of a layer and its derivatives. */
const products = (m: number, k: number, n: number): Plain[] => [
  {
    shapes: [
      [m, k],
      [k, n],
    ],
    make: (a, b) => matmul(a as Tensor, b as Tensor),
  },
  {
    shapes: [
      [m, k],
      [n, k],
    ],
    make: (a, b) => matmul(a as Tensor, swap(b as Tensor)),
  },
  {
    shapes: [
      [k, m],
      [k, n],
    ],
    make: (a, b) => matmul(swap(a as Tensor), b as Tensor),
  },
];

/** Kernels along rows and down columns. */
const rows = (count: number, length: number): Plain[] => [
  { shapes: [[count, length]], make: (x) => softmax(x as Tensor) },
  {
    shapes: [[count, length], [length], [length]],
    make: (x, scale, bias) => layerNorm(x as Tensor, { scale: scale as Tensor, bias: bias as Tensor }),
  },
  { shapes: [[count, length]], make: (x) => sum(x as Tensor, { axes: 0 }) },
];

const heads = (count: number, length: number, depth: number): Plain => ({
  shapes: [1, 2, 3].map(() => [1, count, length, depth]),
  make: (q, k, v) => attention(q as Tensor, k as Tensor, v as Tensor, { causal: true }),
});

/** Plain kernels at sizes from small to large, independent of each other, as one program: what shipped tables are made with. */
export function grid(dtype: "f32" | "f16", large: boolean): Program {
  const list = large
    ? [
        ...[512, 1024, 2048, 4096].flatMap((n) => products(n, n, n)),
        ...[
          [1, 1024, 4096],
          [4, 4096, 1024],
          [128, 1024, 1024],
          [512, 4096, 1024],
          [1000, 1000, 1000],
        ].flatMap((s) => products(...(s as [number, number, number]))),
        ...[
          [64, 64],
          [512, 1024],
          [4096, 1024],
          [65536, 256],
          [1024, 32768],
          [8, 131072],
        ].flatMap((s) => rows(...(s as [number, number]))),
        ...[
          [12, 512, 64],
          [12, 2048, 64],
          [16, 1024, 128],
        ].map((s) => heads(...(s as [number, number, number]))),
      ]
    : [
        ...[
          [64, 64, 64],
          [128, 256, 128],
          [1, 256, 256],
          [100, 100, 100],
        ].flatMap((s) => products(...(s as [number, number, number]))),
        ...[
          [16, 64],
          [128, 256],
          [4, 4096],
          [1000, 33],
        ].flatMap((s) => rows(...(s as [number, number]))),
        ...[[4, 64, 32]].map((s) => heads(...(s as [number, number, number]))),
      ];
  const spec = dtype === "f32" ? f32 : f16;
  const specs = list.map((p) => p.shapes.map((s) => spec(...s)));
  const make = (args: readonly (readonly Tensor[])[]): Tensor[] => list.map((p, i) => p.make(...(args[i] as Tensor[])));
  return compile(specs, make as never) as unknown as Program;
}
