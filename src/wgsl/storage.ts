import type { DType } from "../base/dtype.ts";
import { add, div, divisibleBy, type Index, indexText, int, mod } from "../ir/index-expr.ts";
import type { Access } from "../manifest/manifest.ts";

/** One storage buffer of a kernel while its text is being written. */
export interface Binding {
  readonly name: string;
  readonly dtype: DType;
  /** Elements of the tensor. */
  readonly count: number;
  access: Access;
  /** Widest vector it is loaded or stored by; decides the element type of its declaration. */
  width: number;
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
  private readonly marks: (() => string)[] = [];
  readonly nativeHalf: boolean;
  private packs = false;

  constructor(nativeHalf: boolean) {
    this.nativeHalf = nativeHalf;
  }

  /** `part`: elements of each binding but the last, for a tensor that needs several. */
  add(dtype: DType, count: number, access: Access, part?: number): Binding {
    if (part !== undefined) throw new Error("a tensor in several bindings");
    const b: Binding = { name: `b${this.bindings.length}`, dtype, count, access, width: 1 };
    this.bindings.push(b);
    return b;
  }

  /** May `width` elements at this offset be moved as one vector? */
  canVector(b: Binding, offset: Index, width: number): boolean {
    return width > 1 && divisibleBy(offset, width) && b.count % width === 0 && (b.width === 1 || b.width === width);
  }

  private packed(b: Binding): boolean {
    return b.dtype === "f16" && !this.nativeHalf;
  }

  /** Text of the value(s) at an offset: a scalar, or `width` consecutive elements when `canVector` allowed it. */
  load(b: Binding, offset: Index, width: number): string {
    if (this.packed(b)) {
      const word = (at: Index): string => `unpack2x16float(${b.name}[${indexText(div(at, 2))}])`;
      if (width === 1) {
        const half = mod(offset, 2);
        return half.terms.length === 0
          ? `${word(offset)}.${half.base ? "y" : "x"}`
          : `${word(offset)}[${indexText(half)}]`;
      }
      return width === 2 ? word(offset) : `vec4<f32>(${word(offset)}, ${word(add(offset, int(2)))})`;
    }
    if (width > 1) b.width = width;
    return this.mark(() => convertIn(b.dtype, width, this.element(b, offset, width)));
  }

  /** Statements that store a value. Packed f16 takes whole words only: `width` must be 2 or 4 at an even offset. */
  store(b: Binding, offset: Index, width: number, value: string): string[] {
    if (this.packed(b)) {
      if (width === 1) throw new Error("a packed f16 store needs two lanes");
      this.packs = true;
      const word = (at: Index, v: string): string => `${b.name}[${indexText(div(at, 2))}] = pack_half(${v});`;
      return width === 2
        ? [word(offset, value)]
        : [word(offset, `${value}.xy`), word(add(offset, int(2)), `${value}.zw`)];
    }
    if (width > 1) b.width = width;
    return [this.mark(() => `${this.element(b, offset, width)} = ${convertOut(b.dtype, width, value)};`)];
  }

  private element(b: Binding, offset: Index, width: number): string {
    if (b.width === 1) return `${b.name}[${indexText(offset)}]`;
    const vector = `${b.name}[${indexText(div(offset, b.width))}]`;
    if (width > 1) return vector;
    const lane = mod(offset, b.width);
    return lane.terms.length === 0 ? `${vector}.${"xyzw"[lane.base]}` : `${vector}[${indexText(lane)}]`;
  }

  private mark(text: () => string): string {
    this.marks.push(text);
    return `@${this.marks.length - 1}@`;
  }

  resolve(body: string): string {
    return body.replace(/@(\d+)@/g, (_, n) => (this.marks[Number(n)] as () => string)());
  }

  /** Access of each binding, by number. */
  accesses(): Access[] {
    return this.bindings.map((b) => b.access);
  }

  /** Declarations at module scope; call after the body is complete. */
  declarations(): string[] {
    return this.bindings.map((b, i) => {
      const element = this.packed(b) ? "u32" : memoryType(b.dtype, b.width);
      return `@group(0) @binding(${i}) var<storage, ${b.access}> ${b.name}: array<${element}>;`;
    });
  }

  /** Functions that stores call. */
  functions(): string[] {
    return this.packs ? [packHalf] : [];
  }

  usesHalf(): boolean {
    return this.nativeHalf && this.bindings.some((b) => b.dtype === "f16");
  }
}

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
