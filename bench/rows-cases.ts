import {
  compile,
  crossEntropy,
  embedding,
  f32,
  gelu,
  i32,
  layerNorm,
  type Program,
  rmsNorm,
  softmax,
  type Tensor,
  type TensorSpec,
  valueAndGrad,
} from "sinter";
import { adamW, adamWInit } from "sinter/nn";

/** Data of a tensor: noise in [-1, 1), or integers. */
export interface Data {
  readonly shape: readonly number[];
  /** Numbers of a table's rows, for integers. */
  readonly below?: number;
}

type Tensors = Readonly<Record<string, Tensor>>;

/** A kernel that moves bytes, as a program. */
export interface RowsCase {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Data>>;
  /** What is state, of the inputs and besides. */
  state?(inputs: Readonly<Record<string, Float32Array>>): Readonly<Record<string, unknown>>;
  program(): Program;
  /** Bytes that any implementation moves: each input once, each output once. */
  readonly bytes: number;
  /** Elements of the result by number, computed in f64 from the inputs: what a sample of it is compared with. */
  expected?(inputs: Readonly<Record<string, ArrayLike<number>>>, at: number): number;
  /** Which tensor of the result that is, where there are several. */
  readonly output?: string;
}

const vocabulary = 50257;
const width = 768;

const specs = (inputs: RowsCase["inputs"]): Record<string, TensorSpec> =>
  Object.fromEntries(
    Object.entries(inputs).map(([name, d]) => [name, d.below === undefined ? f32(...d.shape) : i32(...d.shape)]),
  );

const program = (inputs: RowsCase["inputs"], fn: (t: Tensors) => unknown): Program =>
  compile(specs(inputs) as never, fn as never) as unknown as Program;

/** The gradient of sum(fn(params) * dy) by the named parameters. */
const gradient =
  (names: readonly string[], fn: (t: Tensors) => Tensor) =>
  ({ dy, ...t }: Tensors): unknown => {
    const params = Object.fromEntries(names.map((n) => [n, t[n] as Tensor]));
    return valueAndGrad((p: Tensors) =>
      fn({ ...t, ...p })
        .mul(dy as Tensor)
        .sum(),
    )(params).grad;
  };

type Values = Readonly<Record<string, ArrayLike<number>>>;
const row = (x: ArrayLike<number>, n: number, r: number): Float64Array =>
  Float64Array.from({ length: n }, (_, i) => x[r * n + i] as number);
const total = (x: Iterable<number>): number => {
  let sum = 0;
  for (const v of x) sum += v;
  return sum;
};
const softmaxOf = (x: Float64Array): Float64Array => {
  const top = x.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = x.map((v) => Math.exp(v - top));
  const sum = total(powers);
  return powers.map((v) => v / sum);
};
const normalised = (x: Float64Array): { readonly y: Float64Array; readonly scale: number } => {
  const mean = total(x) / x.length;
  const scale = 1 / Math.sqrt(total(x.map((v) => (v - mean) ** 2)) / x.length + 1e-5);
  return { y: x.map((v) => (v - mean) * scale), scale };
};

/** The cases at about `bytes` bytes of the largest input. */
export function rowsCases(bytes: number): readonly RowsCase[] {
  const count = (columns: number): number => Math.max(1, Math.floor(bytes / 4 / columns));
  const sizeOf = (...shapes: readonly (readonly number[])[]): number =>
    4 * total(shapes.map((s) => s.reduce((p, d) => p * d, 1)));
  const softmaxAt = (columns: number): RowsCase => {
    const x = { shape: [count(columns), columns] };
    return {
      name: `softmax ${x.shape.join("x")}`,
      inputs: { x },
      program: () => program({ x }, ({ x }) => softmax(x as Tensor, { axis: -1 })),
      bytes: 2 * sizeOf(x.shape),
      expected: (v, at) => softmaxOf(row(v.x as never, columns, Math.floor(at / columns)))[at % columns] as number,
    };
  };
  const normAt = (columns: number): RowsCase => {
    const inputs = { x: { shape: [count(columns), columns] }, g: { shape: [columns] }, b: { shape: [columns] } };
    return {
      name: `layerNorm ${inputs.x.shape.join("x")}`,
      inputs,
      program: () =>
        program(inputs, ({ x, g, b }) => layerNorm(x as Tensor, { scale: g, bias: b, axes: [-1] } as never)),
      bytes: 2 * sizeOf(inputs.x.shape),
      expected: ({ x, g, b }: Values, at) => {
        const { y } = normalised(row(x as never, columns, Math.floor(at / columns)));
        const c = at % columns;
        return (y[c] as number) * (g?.[c] as number) + (b?.[c] as number);
      },
    };
  };
  const big = [count(width), width];
  const normGrad = (names: readonly string[], name: string): RowsCase => {
    const inputs = { x: { shape: big }, g: { shape: [width] }, b: { shape: [width] }, dy: { shape: big } };
    return {
      name: `${name} ${big.join("x")}`,
      inputs,
      program: () =>
        program(
          inputs,
          gradient(names, ({ x, g, b }) => layerNorm(x as Tensor, { scale: g, bias: b, axes: [-1] } as never)),
        ),
      bytes: 3 * sizeOf(big),
      output: "x",
      expected: ({ x, g, dy }: Values, at) => {
        const r = Math.floor(at / width);
        const { y, scale } = normalised(row(x as never, width, r));
        const d = row(dy as never, width, r).map((v, i) => v * (g?.[i] as number));
        const [m, p] = [total(d) / width, total(d.map((v, i) => v * (y[i] as number))) / width];
        const c = at % width;
        return scale * ((d[c] as number) - m - (y[c] as number) * p);
      },
    };
  };
  const columnsAt = (columns: number): RowsCase => {
    const x = { shape: [count(columns), columns] };
    return {
      name: `column sums ${x.shape.join("x")}`,
      inputs: { x },
      program: () => program({ x }, ({ x }) => (x as Tensor).sum({ axes: [0] })),
      bytes: sizeOf(x.shape),
      expected: (v, at) => {
        let sum = 0;
        for (let r = 0; r < (x.shape[0] as number); r++) sum += v.x?.[r * columns + at] as number;
        return sum;
      },
    };
  };
  const logits = [count(vocabulary), vocabulary];
  const targets = { shape: [logits[0] as number], below: vocabulary };
  const gathered = { table: { shape: [vocabulary, width] }, ids: { shape: [big[0] as number], below: vocabulary } };
  /** Ids are of so many rows of the table. */
  const embeddingGrad = (tokens: number): RowsCase => ({
    name: `embedding backward ${gathered.table.shape.join("x")}, ${gathered.ids.shape} ids${tokens < vocabulary ? ` of ${tokens}` : ""}`,
    inputs: { ...gathered, ids: { ...gathered.ids, below: tokens }, dy: { shape: big } },
    program() {
      return program(
        this.inputs,
        gradient(["table"], ({ table, ids }) => embedding(table as Tensor, ids as Tensor)),
      );
    },
    bytes: sizeOf(big, gathered.table.shape, gathered.ids.shape),
    output: "table",
    expected: ({ ids, dy }: Values, at) => {
      const [id, c] = [Math.floor(at / width), at % width];
      let sum = 0;
      for (let i = 0; i < (big[0] as number); i++) if (ids?.[i] === id) sum += dy?.[i * width + c] as number;
      return sum;
    },
  });
  const [n] = [count(1)];
  const distinct = Math.min(vocabulary, big[0] as number);
  return [
    {
      name: `gelu ${big.join("x")}`,
      inputs: { x: { shape: big } },
      program: () => program({ x: { shape: big } }, ({ x }) => gelu(x as Tensor, { approximate: "tanh" })),
      bytes: 2 * sizeOf(big),
      expected: ({ x }, at) => {
        const v = x?.[at] as number;
        return 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
      },
    },
    softmaxAt(1024),
    softmaxAt(4096),
    softmaxAt(vocabulary),
    {
      name: `softmax backward ${[count(1024), 1024].join("x")}`,
      inputs: { x: { shape: [count(1024), 1024] }, dy: { shape: [count(1024), 1024] } },
      program() {
        return program(
          this.inputs,
          gradient(["x"], ({ x }) => softmax(x as Tensor, { axis: -1 })),
        );
      },
      bytes: 3 * sizeOf([count(1024), 1024]),
      output: "x",
      expected: ({ x, dy }: Values, at) => {
        const r = Math.floor(at / 1024);
        const p = softmaxOf(row(x as never, 1024, r));
        const d = row(dy as never, 1024, r);
        const c = at % 1024;
        return (p[c] as number) * ((d[c] as number) - total(d.map((v, i) => v * (p[i] as number))));
      },
    },
    normAt(width),
    normAt(width + 1),
    normAt(4096),
    normGrad(["x"], "layerNorm backward, x"),
    normGrad(["x", "g", "b"], "layerNorm backward, all"),
    {
      name: `rmsNorm ${[count(2048), 2048].join("x")}`,
      inputs: { x: { shape: [count(2048), 2048] }, g: { shape: [2048] } },
      program() {
        return program(this.inputs, ({ x, g }) => rmsNorm(x as Tensor, { scale: g, axes: [-1] } as never));
      },
      bytes: 2 * sizeOf([count(2048), 2048]),
      expected: ({ x, g }: Values, at) => {
        const v = row(x as never, 2048, Math.floor(at / 2048));
        const c = at % 2048;
        return ((v[c] as number) / Math.sqrt(total(v.map((a) => a * a)) / 2048 + 1e-5)) * (g?.[c] as number);
      },
    },
    {
      name: `cross-entropy and its gradient ${logits.join("x")}`,
      inputs: { x: { shape: logits }, targets },
      program() {
        return program(this.inputs, ({ x, targets }) => {
          const loss = (x: Tensor): Tensor => crossEntropy(x, targets as Tensor);
          const { value, grad } = valueAndGrad(loss)(x as Tensor);
          return { loss: value, grad };
        });
      },
      bytes: 2 * sizeOf(logits),
      output: "grad",
      expected: ({ x, targets: t }: Values, at) => {
        const r = Math.floor(at / vocabulary);
        const p = softmaxOf(row(x as never, vocabulary, r))[at % vocabulary] as number;
        return (p - (t?.[r] === at % vocabulary ? 1 : 0)) / (logits[0] as number);
      },
    },
    columnsAt(width),
    columnsAt(4 * width),
    columnsAt(width + 1),
    {
      name: `AdamW ${n}`,
      inputs: { p: { shape: [n] }, g: { shape: [n] } },
      state: ({ p }) => ({ p, opt: adamWInit({ p: p as Float32Array }) }),
      program: () =>
        compile(
          { p: f32(n), opt: adamWInit({ p: f32(n) }), g: f32(n) },
          ({ p, opt, g }) => {
            const next = adamW({ p }, { p: g }, opt, { lr: 1e-3, weightDecay: 0.01 });
            return { p: next.params.p, opt: next.state };
          },
          { donate: ["p", "opt"] },
        ) as unknown as Program,
      bytes: 7 * sizeOf([n]),
    },
    {
      name: `embedding ${gathered.table.shape.join("x")}, ${gathered.ids.shape} ids`,
      inputs: gathered,
      program: () => program(gathered, ({ table, ids }) => embedding(table as Tensor, ids as Tensor)),
      bytes: sizeOf(big, [distinct, width], gathered.ids.shape),
      expected: ({ table, ids }: Values, at) =>
        table?.[(ids?.[Math.floor(at / width)] as number) * width + (at % width)] as number,
    },
    embeddingGrad(vocabulary),
    embeddingGrad(51),
  ];
}
