import * as s from "../../../src/index.ts";
import {
  type Arg,
  axisOf,
  count,
  flat,
  number,
  numbers,
  shape,
  type Tensor,
  type TorchOperator,
  tensor,
} from "./values.ts";

/** Sizes with -1 for an axis that stays; leading axes may be new. */
function expanded(x: Tensor, to: readonly number[]): Tensor {
  const own = shape(x);
  const shift = to.length - own.length;
  return s.expand(
    x,
    to.map((d, i) => (d === -1 ? (own[i - shift] as number) : d)),
  );
}

/** Repeats with as many axes as the longer of the two. */
function repeated(x: Tensor, repeats: readonly number[]): Tensor {
  const rank = Math.max(repeats.length, x.rank);
  const wide = s.reshape(x, [...new Array<number>(rank - x.rank).fill(1), ...shape(x)]);
  return s.tile(wide, [...new Array<number>(rank - repeats.length).fill(1), ...repeats]);
}

function movedim(x: Tensor, from: readonly number[], to: readonly number[]): Tensor {
  const at = (d: number): number => (d < 0 ? d + x.rank : d);
  const perm = new Array<number>(x.rank).fill(-1);
  from.forEach((f, i) => {
    perm[at(to[i] as number)] = at(f);
  });
  const rest = shape(x)
    .map((_, i) => i)
    .filter((i) => !perm.includes(i));
  return s.transpose(
    x,
    perm.map((p) => (p < 0 ? (rest.shift() as number) : p)),
  );
}

function swapped(x: Tensor, a: number, b: number): Tensor {
  if (x.rank === 0) return x;
  const perm = shape(x).map((_, i) => i);
  const [i, j] = [(a + x.rank) % x.rank, (b + x.rank) % x.rank];
  perm[i] = j;
  perm[j] = i;
  return s.transpose(x, perm);
}

/** Rolls elements along axes; without axes, of the flattened tensor. */
function roll(x: Tensor, shifts: readonly number[], dims: readonly number[] | undefined): Tensor {
  if (!dims) return s.reshape(roll(flat(x), shifts, [0]), shape(x));
  return dims.reduce((y, dim, i) => {
    const axis = axisOf(x, dim);
    const n = shape(x)[axis] as number;
    if (n === 0) return y;
    const cut = (((n - (shifts[i] as number)) % n) + n) % n;
    const [head, tail] = s.split(y, { axis, sizes: [cut, n - cut] }) as [Tensor, Tensor];
    return s.concat([tail, head], { axis });
  }, x);
}

/** Sizes of the parts of `torch.split`: full ones and a shorter last. */
function partSizes(n: number, each: number): number[] {
  const out: number[] = [];
  for (let left = n; left > 0; left -= each) out.push(Math.min(each, left));
  return out.length ? out : [0];
}

const split: TorchOperator = (x, [parts, dim]) => {
  const axis = axisOf(x, dim);
  const n = shape(x)[axis] as number;
  return s.split(x, { axis, sizes: typeof parts === "number" ? partSizes(n, parts) : numbers(parts) });
};

/** x on a diagonal of two new axes `dim1` and `dim2`, zero elsewhere. */
function diagEmbed(x: Tensor, offset: number, dim1: number, dim2: number): Tensor {
  const n = (shape(x).at(-1) as number) + Math.abs(offset);
  const padding = { low: new Array<number>(x.rank).fill(0), high: new Array<number>(x.rank).fill(0) };
  (offset > 0 ? padding.high : padding.low)[x.rank - 1] = Math.abs(offset);
  const wide = s.pad(x, padding);
  const square = s.expand(s.reshape(wide, [...shape(wide), 1]), [...shape(wide), n]);
  const row = s.iota([n, n], { axis: 0, dtype: "i32" });
  const column = s.iota([n, n], { axis: 1, dtype: "i32" });
  const made = s.where(s.equal(s.sub(column, row), offset), square, 0);
  return movedim(made, [-2, -1], [dim1, dim2]);
}

/** Pads as PyTorch lists them: pairs from the last axis backwards, negative ones cutting off. */
function padded(x: Tensor, pads: readonly number[], mode: string, value: number): Tensor {
  const low = new Array<number>(x.rank).fill(0);
  const high = new Array<number>(x.rank).fill(0);
  for (let i = 0; i < pads.length / 2; i++) {
    low[x.rank - 1 - i] = pads[2 * i] as number;
    high[x.rank - 1 - i] = pads[2 * i + 1] as number;
  }
  const negative = (p: number): number => Math.max(0, -p);
  if (mode === "circular")
    return circular(cut(x, low.map(negative), high.map(negative)), low.map(positive), high.map(positive));
  const modes = { constant: "constant", reflect: "reflection", replicate: "edge" } as const;
  const wide = s.pad(x, {
    low: low.map(positive),
    high: high.map(positive),
    mode: modes[mode as keyof typeof modes],
    value,
  });
  return cut(wide, low.map(negative), high.map(negative));
}

const positive = (p: number): number => Math.max(0, p);

/** x without so many elements at both ends of each axis. */
function cut(x: Tensor, low: readonly number[], high: readonly number[]): Tensor {
  return s.slice(x, { starts: low, ends: shape(x).map((n, i) => n - (high[i] as number)) });
}

function circular(x: Tensor, low: readonly number[], high: readonly number[]): Tensor {
  return low.reduce((y, before, axis) => {
    const after = high[axis] as number;
    const n = shape(x)[axis] as number;
    if (before === 0 && after === 0) return y;
    const from = Array.from({ length: n + before + after }, (_, i) => (((i - before) % n) + n) % n);
    return s.gather(y, s.constant(Int32Array.from(from), [from.length], "i32"), { axis });
  }, x);
}

const padding: TorchOperator = (x, [pads, mode, value], kw) =>
  padded(x, numbers(pads ?? kw.pad), String(mode ?? kw.mode ?? "constant"), number(value ?? kw.value, 0));

const shapeOf: TorchOperator = (x, [to]) => s.reshape(x, numbers(to as Arg));
const expand: TorchOperator = (x, [to]) => expanded(x, numbers(to as Arg));
const triangular =
  (upper: boolean): TorchOperator =>
  (x, [diagonal]) =>
    s.triangular(x, { upper, diagonal: number(diagonal, 0) });

/** Squeezes those of the axes that have size 1. */
function squeezed(x: Tensor, dims: readonly number[]): Tensor {
  const axes = dims.map((d) => (d < 0 ? d + x.rank : d));
  return s.reshape(
    x,
    shape(x).filter((n, i) => !(axes.includes(i) && n === 1)),
  );
}

export const shapes: Readonly<Record<string, TorchOperator>> = {
  broadcast_to: expand,
  chunk: (x, [parts, dim]) => {
    const axis = axisOf(x, dim);
    const n = shape(x)[axis] as number;
    return s.split(x, { axis, sizes: partSizes(n, Math.ceil(n / number(parts))) });
  },
  diag_embed: (x, _, kw) => diagEmbed(x, number(kw.offset, 0), number(kw.dim1, -2), number(kw.dim2, -1)),
  expand,
  flatten: (x, _, kw) => {
    if (x.rank === 0) return flat(x);
    const [from, to] = [axisOf(x, kw.start_dim, 0), axisOf(x, kw.end_dim, x.rank - 1)];
    const d = shape(x);
    const merged = d.slice(from, to + 1).reduce((p, n) => p * n, 1);
    return s.reshape(x, [...d.slice(0, from), merged, ...d.slice(to + 1)]);
  },
  flip: (x, _, kw) => s.flip(x, { axes: numbers(kw.dims) }),
  movedim: (x, [from, to]) => movedim(x, numbers(from as Arg), numbers(to as Arg)),
  narrow: (x, [dim, start, length]) => {
    const axis = axisOf(x, dim);
    const from = number(start) < 0 ? number(start) + (shape(x)[axis] as number) : number(start);
    return s.slice(x, { axes: [axis], starts: [from], ends: [from + number(length)] });
  },
  "nn.functional.pad.circular": padding,
  "nn.functional.pad.constant": padding,
  "nn.functional.pad.reflect": padding,
  "nn.functional.pad.replicate": padding,
  "nn.functional.pad.replicate_negative": padding,
  repeat: (x, [n]) => repeated(x, numbers(n as Arg)),
  reshape: shapeOf,
  roll: (x, [by, dims]) => roll(x, numbers(by as Arg), dims === undefined || dims === null ? undefined : numbers(dims)),
  select: (x, [dim, index]) => {
    const axis = axisOf(x, dim);
    const at = number(index) < 0 ? number(index) + (shape(x)[axis] as number) : number(index);
    return s.squeeze(s.slice(x, { axes: [axis], starts: [at], ends: [at + 1] }), { axes: [axis] });
  },
  split,
  "split.list_args": split,
  squeeze: (x, [dim]) => squeezed(x, dim === undefined ? shape(x).map((_, i) => i) : numbers(dim)),
  "squeeze.multiple": (x, [dims]) => squeezed(x, numbers(dims as Arg)),
  tile: (x, [n]) => repeated(x, numbers(n as Arg)),
  transpose: (x, [a, b]) => swapped(x, number(a), number(b)),
  tril: triangular(false),
  triu: triangular(true),
  unflatten: (x, [dim, sizes]) => {
    const axis = axisOf(x, dim);
    const d = shape(x);
    const rest = count(x) === 0 ? numbers(sizes as Arg) : fill(numbers(sizes as Arg), d[axis] as number);
    return s.reshape(x, [...d.slice(0, axis), ...rest, ...d.slice(axis + 1)]);
  },
  unsqueeze: (x, [dim]) => s.unsqueeze(x, { axes: [number(dim)] }),
  view: shapeOf,
};

/** Sizes whose product is n, with one -1 replaced. */
function fill(sizes: readonly number[], n: number): number[] {
  const known = sizes.filter((d) => d !== -1).reduce((p, d) => p * d, 1);
  return sizes.map((d) => (d === -1 ? n / known : d));
}

/** Operators whose first argument is a list of tensors. */
export const joins: Readonly<Record<string, (xs: readonly Tensor[], args: readonly Arg[], dim: Arg) => Tensor>> = {
  cat: (xs, [axis], dim) => s.concat(xs, { axis: number(axis ?? dim, 0) }),
  stack: (xs, [axis], dim) => s.stack(xs, { axis: number(axis ?? dim, 0) }),
};

const one = (x: Tensor): Tensor => (x.rank === 0 ? s.reshape(x, [1]) : x);

/** The part of x that indices of this shape reach: whole along `axis`, the leading elements along the others. */
function reached(x: Tensor, like: readonly number[], axis: number): Tensor {
  return s.slice(x, {
    starts: like.map(() => 0),
    ends: like.map((n, i) => (i === axis ? (shape(x)[i] as number) : n)),
  });
}

/** PyTorch's scatter: indices may be smaller than data along the other axes, and then leave the rest as it is. */
function scattered(x: Tensor, index: Tensor, updates: Tensor, axis: number, reduction: "none" | "add"): Tensor {
  const like = shape(index);
  const source = s.slice(updates, { starts: like.map(() => 0), ends: like });
  const go = (y: Tensor, at: number): Tensor => {
    if (at === like.length) return s.scatterElements(y, index, source, { axis, reduction });
    const n = shape(y)[at] as number;
    const m = like[at] as number;
    if (at === axis || m >= n) return go(y, at + 1);
    const [head, tail] = s.split(y, { axis: at, sizes: [m, n - m] }) as [Tensor, Tensor];
    return s.concat([go(head, at + 1), tail], { axis: at });
  };
  return go(x, 0);
}

const scatter =
  (reduction: "none" | "add"): TorchOperator =>
  (x, [dim, index, updates]) => {
    const made = scattered(one(x), one(tensor(index)), one(tensor(updates)), axisOf(one(x), dim), reduction);
    return s.reshape(made, shape(x));
  };

/** Options for the gradient alone: a row that gets none, and rows that get the mean over their uses. */
const embedding: TorchOperator = (x, [y], kw) => {
  const [table, ids] = x.dtype === "f32" ? [x, tensor(y)] : [tensor(y), x];
  if (kw.scale_grad_by_freq === true) {
    const rows = s.embedding(table, ids);
    const n = count(ids);
    const uses = s.sum(s.cast(s.equal(s.reshape(ids, [n, 1]), s.reshape(ids, [1, n])), "f32"), { axes: [1] });
    const share = s.reshape(s.reciprocal(uses), [...shape(ids), 1]);
    return s.add(s.mul(rows, share), s.stopGradient(s.mul(rows, s.sub(1, share))));
  }
  if (kw.padding_idx === undefined || kw.padding_idx === null) return s.embedding(table, ids);
  const [rows] = shape(table) as [number];
  const padding = (number(kw.padding_idx) + rows) % rows;
  const fixed = s.equal(s.iota([rows, 1], { axis: 0, dtype: "i32" }), padding);
  return s.embedding(s.where(fixed, s.stopGradient(table), table), ids);
};

export const indexed: Readonly<Record<string, TorchOperator>> = {
  gather: (x, [dim, index]) => {
    const i = one(tensor(index));
    const axis = axisOf(one(x), dim);
    const data = one(x);
    if (count(i) === 0) return s.reshape(s.slice(flat(data), [[0, 0]]), shape(tensor(index)));
    return s.reshape(s.gatherElements(reached(data, shape(i), axis), i, { axis }), shape(tensor(index)));
  },
  index_select: (x, [dim, index]) => {
    const made = s.gather(one(x), one(tensor(index)), { axis: axisOf(one(x), dim) });
    return x.rank === 0 ? s.reshape(made, []) : made;
  },
  "nn.functional.embedding": embedding,
  scatter: scatter("none"),
  scatter_add: scatter("add"),
};
