import type { HelperSource } from "./helpers-template.ts";

/** Philox-4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Scalar only. */
export const randomHelpers: Readonly<Record<string, HelperSource>> = {
  // The upper 32 bits of a 32 x 32 bit product, by 16-bit halves: WGSL has no 64-bit integers.
  mulHigh: `
fn $mulHigh(a: $U, b: $U) -> $U {
  let al = a & $U(0xffffu);
  let ah = a >> $U(16u);
  let bl = b & $U(0xffffu);
  let bh = b >> $U(16u);
  let t = ah * bl + ((al * bl) >> $U(16u));
  let u = al * bh + (t & $U(0xffffu));
  return ah * bh + (t >> $U(16u)) + (u >> $U(16u));
}`,
  philox: `
fn $philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
  var c = counter;
  var k = key;
  for (var i = 0; i < 10; i++) {
    let h0 = $mulHigh_1(c.x, 0xd2511f53u);
    let h1 = $mulHigh_1(c.z, 0xcd9e8d57u);
    c = vec4<u32>(h1 ^ c.y ^ k.x, c.z * 0xcd9e8d57u, h0 ^ c.w ^ k.y, c.x * 0xd2511f53u);
    k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}`,
};
