import type { DType } from "../base/dtype.ts";
import type { Region } from "../fuse/region.ts";
import { add, div, divisibleBy, type Index, indexText, int, mod } from "../ir/index-expr.ts";
import type { Access } from "../manifest/manifest.ts";
import { always } from "./agree.ts";

/** A tensor in memory while the text of a kernel that reads or writes it is being written. */
export interface Binding {
  readonly name: string;
  readonly dtype: DType;
  /** Elements of the tensor. */
  readonly count: number;
  readonly access: Access;
  /** Names of the storage buffers that hold it, one unless it is larger than a binding may be. */
  readonly buffers: readonly string[];
  /** Elements of each of them but the last. */
  readonly part: number;
  /** Widest vector it is loaded or stored by; decides the element type of its declaration. 8 are halves in a vec4<u32>. */
  width: number;
  /**
   * Single elements are stored too, by different invocations perhaps: it is an array of scalars then, since writing a
   * component of a vector may write all of it. So it is where it may begin at any element.
   */
  scalar: boolean;
  /** Functions that choose among its buffers, where a load or a store needs them. */
  readonly chooses: Set<"load" | "store">;
  /** Text of the element that it begins at, in units of its declaration; from the start if absent. */
  readonly origin?: string;
}

const scalarType: Record<DType, string> = { f32: "f32", f16: "f16", i32: "i32", u32: "u32", bool: "u32" };
const valueType: Record<DType, string> = { f32: "f32", f16: "f32", i32: "i32", u32: "u32", bool: "bool" };

export const typeOf = (dtype: DType, width: number): string =>
  width === 1 ? valueType[dtype] : `vec${width}<${valueType[dtype]}>`;

const memoryType = (dtype: DType, width: number): string =>
  width === 1 ? scalarType[dtype] : `vec${width}<${scalarType[dtype]}>`;

/**
 * The storage buffers of a kernel. Whether a buffer is an array of scalars or of vectors is known only after the whole
 * body was written, so loads and stores go into the text as marks that `resolve` replaces.
 */
export class Storage {
  readonly bindings: Binding[] = [];
  private buffers = 0;
  private readonly marks: (() => string)[] = [];
  readonly nativeHalf: boolean;
  private packs = false;
  private readonly region: Pick<Region, "uniform">;

  constructor(nativeHalf: boolean, region: Pick<Region, "uniform"> = {}) {
    this.nativeHalf = nativeHalf;
    this.region = region;
  }

  /** `part`: elements of each buffer but the last, a multiple of 64, for a tensor that needs several. */
  add(dtype: DType, count: number, access: Access, part = count, uniform = false): Binding {
    const first = this.buffers;
    this.buffers += Math.max(1, Math.ceil(count / Math.max(1, part)));
    const buffers = Array.from({ length: this.buffers - first }, (_, i) => `b${first + i}`);
    const name = `b${first}`;
    const b: Binding = {
      ...{ name, dtype, count, access, buffers, part, width: 1, scalar: false, chooses: new Set() },
      ...(uniform ? { origin: originMark(first) } : {}),
    };
    this.bindings.push(b);
    return b;
  }

  /** A scalar that is a word of the argument block; `i` is its number among the kernel's tensors. */
  addScalar(dtype: DType, i: number): Binding {
    return {
      ...{ name: scalarMark(i), dtype, count: 1, access: "read", buffers: [], part: 1, width: 1, scalar: true },
      chooses: new Set(),
    };
  }

  /** Elements in a unit of each storage buffer's declaration. */
  units(): number[] {
    return this.bindings.map(vectorOf);
  }

  /** May `width` elements at this offset be moved as one vector? */
  canVector(b: Binding, offset: Index, width: number): boolean {
    if (width <= 1) return false;
    const fits = b.width === 1 || b.width === width || b.width === 8;
    // The buffer of an empty tensor has room for one scalar, and WebGPU wants one element of an array's type.
    const whole = divisibleBy(offset, width) && b.count > 0 && b.count % width === 0 && fits;
    return always(this.region, whole);
  }

  /** May the eight halves at this offset be moved as the four words that they are? Of a tensor that is only read. */
  canWords(b: Binding, offset: Index): boolean {
    const free = b.dtype === "f16" && !b.scalar && b.width !== 2 && b.buffers.length > 0 && !b.origin;
    return free && divisibleBy(offset, 8) && b.count > 0 && b.count % 8 === 0 && b.part % 8 === 0;
  }

  /** Text of eight halves as a vec4<u32>, where `canWords` allowed it. */
  loadWords(b: Binding, offset: Index): string {
    b.width = 8;
    return read(b, indexText(div(offset, 8)));
  }

  private packed(b: Binding): boolean {
    return b.dtype === "f16" && !this.nativeHalf;
  }

  /** Text of the value(s) at an offset: a scalar, or `width` consecutive elements when `canVector` allowed it. */
  load(b: Binding, offset: Index, width: number): string {
    if (this.packed(b)) {
      const word = (at: Index): string => this.mark(() => `unpack2x16float(${wordOf(b, at)})`);
      if (width === 1) {
        const half = mod(offset, 2);
        return half.terms.length === 0
          ? `${word(offset)}.${half.base ? "y" : "x"}`
          : `${word(offset)}[${indexText(half)}]`;
      }
      return width === 2 ? word(offset) : `vec4<f32>(${word(offset)}, ${word(add(offset, int(2)))})`;
    }
    if (width > 1) b.width = Math.max(b.width, width);
    return this.mark(() => convertIn(b.dtype, width, elements(b, offset, width)));
  }

  /** Statements that store a value. Packed f16 takes whole words only: `width` must be 2 or 4 at an even offset. */
  store(b: Binding, offset: Index, width: number, value: string): string[] {
    if (this.packed(b)) {
      if (width === 1) throw new Error("a packed f16 store needs two lanes");
      this.packs = true;
      const word = (at: Index, v: string): string => write(b, indexText(div(at, 2)), `pack_half(${v})`);
      return width === 2
        ? [word(offset, value)]
        : [word(offset, `${value}.xy`), word(add(offset, int(2)), `${value}.zw`)];
    }
    if (width > 1) b.width = width;
    else b.scalar = true;
    const lanes = (): string[] =>
      width === 1 || !b.scalar
        ? [write(b, indexText(div(offset, width)), convertOut(b.dtype, width, value))]
        : Array.from({ length: width }, (_, l) =>
            write(b, indexText(add(offset, int(l))), convertOut(b.dtype, 1, `${value}.${"xyzw"[l]}`)),
          );
    return [this.mark(() => lanes().join(" "))];
  }

  private mark(text: () => string): string {
    this.marks.push(text);
    return `@${this.marks.length - 1}@`;
  }

  resolve(body: string): string {
    return body.replace(/@(\d+)@/g, (_, n) => (this.marks[Number(n)] as () => string)());
  }

  /** Access of each storage buffer, by its number. */
  accesses(): Access[] {
    return this.bindings.flatMap((b) => b.buffers.map(() => b.access));
  }

  /** Declarations at module scope; call after the body is complete. */
  declarations(): string[] {
    return this.bindings
      .flatMap((b) => b.buffers.map((name) => ({ b, name })))
      .map(
        ({ b, name }, i) =>
          `@group(0) @binding(${i}) var<storage, ${b.access}> ${name}: array<${this.memoryTypeOf(b)}>;`,
      );
  }

  /** Type of each storage buffer's array, by its number; call after the body is complete. */
  types(): string[] {
    return this.bindings.flatMap((b) => b.buffers.map(() => `array<${this.memoryTypeOf(b)}>`));
  }

  private memoryTypeOf(b: Binding): string {
    if (vectorOf(b) === 8) return "vec4<u32>";
    return this.packed(b) ? "u32" : memoryType(b.dtype, b.scalar ? 1 : b.width);
  }

  /** Functions that loads and stores call; ask after `resolve`. */
  functions(): string[] {
    const halves = this.packs ? [packHalf] : [];
    return [...halves, ...this.bindings.flatMap((b) => this.choices(b))];
  }

  /** A tensor in several buffers is read and written through functions that find the buffer by the offset. */
  private choices(b: Binding): string[] {
    const type = this.memoryTypeOf(b);
    const each = b.part / (this.packed(b) && vectorOf(b) < 8 ? 2 : vectorOf(b));
    const begins = b.buffers.map((name, i) => ({ name, begin: i * each }));
    const at = (begin: number): string => (begin ? `[i - ${begin}u]` : "[i]");
    const pick = (statement: (buffer: string, at: string) => string): string =>
      begins
        .map(({ name, begin }, i) => {
          const run = statement(name, at(begin));
          if (i === begins.length - 1) return i === 0 ? run : `{ ${run} }`;
          return `if (i < ${begin + each}u) { ${run} } else`;
        })
        .join(" ");
    const loads = pick((name, i) => `v = ${name}${i};`);
    const stores = pick((name, i) => `${name}${i} = v;`);
    return [
      ...(b.chooses.has("load")
        ? [`fn load_${b.name}(i: u32) -> ${type} {\n  var v: ${type};\n  ${loads}\n  return v;\n}`]
        : []),
      ...(b.chooses.has("store") ? [`fn store_${b.name}(i: u32, v: ${type}) {\n  ${stores}\n}`] : []),
    ];
  }

  usesHalf(): boolean {
    return this.nativeHalf && this.bindings.some((b) => b.dtype === "f16");
  }
}

/** What stands in the text of a uniform kernel for where a binding's tensor begins, and for a scalar. */
const originMark = (binding: number): string => `%o${binding}%`;
const scalarMark = (tensor: number): string => `%s${tensor}%`;

/** Lanes of an element of the buffer's array. */
const vectorOf = (b: Binding): number => (b.scalar ? 1 : b.width);

/** Text of the array's element at `at`. */
function read(b: Binding, at: string): string {
  if (b.buffers.length === 0) return b.name;
  if (b.buffers.length === 1) return `${b.name}[${place(b, at)}]`;
  b.chooses.add("load");
  return `load_${b.name}(${at})`;
}

function write(b: Binding, at: string, value: string): string {
  if (b.buffers.length === 1) return `${b.name}[${place(b, at)}] = ${value};`;
  b.chooses.add("store");
  return `store_${b.name}(${at}, ${value});`;
}

const place = (b: Binding, at: string): string => (b.origin ? `${b.origin} + ${at}` : at);

/** Text of `width` consecutive elements of the tensor. */
function elements(b: Binding, offset: Index, width: number): string {
  const vector = vectorOf(b);
  if (vector === 1) {
    if (width === 1) return read(b, indexText(offset));
    const lanes = Array.from({ length: width }, (_, l) => read(b, indexText(add(offset, int(l)))));
    return `${memoryType(b.dtype, width)}(${lanes.join(", ")})`;
  }
  if (vector === 8) {
    const pair = (at: Index): string => `bitcast<vec2<f16>>(${wordOf(b, at)})`;
    if (width === 4) return `bitcast<vec4<f16>>(vec2<u32>(${wordOf(b, offset)}, ${wordOf(b, add(offset, int(2)))}))`;
    return width === 2 ? pair(offset) : `${pair(offset)}${component(mod(offset, 2))}`;
  }
  const text = read(b, indexText(div(offset, vector)));
  if (width > 1) return text;
  return text + component(mod(offset, vector));
}

const component = (lane: Index): string => (lane.terms.length === 0 ? `.${"xyzw"[lane.base]}` : `[${indexText(lane)}]`);

/** Text of the word that holds the half at an offset. */
const wordOf = (b: Binding, at: Index): string =>
  vectorOf(b) === 8 ? read(b, indexText(div(at, 8))) + component(mod(div(at, 2), 4)) : read(b, indexText(div(at, 2)));

/**
 * Two f32 rounded to binary16 (ties to even) in one word, by integer arithmetic: `pack2x16float` leaves values beyond the
 * f16 range undefined, and SwiftShader's damages both halves when either is infinite or NaN.
 */
const packHalf = `fn pack_half(v: vec2<f32>) -> u32 {
  let b = bitcast<vec2<u32>>(v);
  let a = b & vec2<u32>(0x7fffffffu);
  let normal = (a + vec2<u32>(0xfffu) + ((a >> vec2<u32>(13u)) & vec2<u32>(1u)) - vec2<u32>(0x38000000u)) >> vec2<u32>(13u);
  let small = vec2<u32>(round(min(bitcast<vec2<f32>>(a), vec2<f32>(1.0f)) * 16777216.0f));
  let large = select(vec2<u32>(0x7c00u), vec2<u32>(0x7e00u), a > vec2<u32>(0x7f800000u));
  let h = select(select(normal, small, a < vec2<u32>(0x38800000u)), large, a >= vec2<u32>(0x477ff000u)) | ((b >> vec2<u32>(16u)) & vec2<u32>(0x8000u));
  return h.x | (h.y << 16u);
}`;

function convertIn(dtype: DType, width: number, text: string): string {
  if (dtype === "f16") return `${typeOf("f32", width)}(${text})`;
  if (dtype === "bool") return `(${text} != ${width === 1 ? "0u" : `vec${width}<u32>()`})`;
  return text;
}

function convertOut(dtype: DType, width: number, value: string): string {
  if (dtype === "f16") return `${memoryType("f16", width)}(${value})`;
  if (dtype === "bool") return `select(${memoryType("u32", width)}(0u), ${memoryType("u32", width)}(1u), ${value})`;
  return value;
}
