import { kernelKey } from "../src/manifest/key.ts";
import type { KernelSpec, Manifest } from "../src/manifest/manifest.ts";

/** No dispatch has so many workgroups along one dimension. */
const beyond = 65_536;

/**
 * The same program in texts that no driver has compiled before, so that no cache helps: every kernel returns early in a
 * workgroup that does not exist. Comments or unused declarations would not reach the driver.
 */
export function unseenTexts(m: Manifest, salt: number): Manifest {
  return { ...m, kernels: m.kernels.map((k) => unseen(k, salt)) };
}

function unseen(kernel: KernelSpec, salt: number): KernelSpec {
  const start = /(@builtin\(workgroup_id\) (\w+): vec3<u32>[^{]*\{\n)/;
  const wgsl = kernel.wgsl.replace(start, (_, head, id) => `${head}  if (${id}.x == ${beyond + salt}u) { return; }\n`);
  if (wgsl === kernel.wgsl) throw new Error(`kernel ${kernel.label} does not begin as expected`);
  return { ...kernel, wgsl, key: kernelKey({ ...kernel, wgsl }) };
}

/** Salts that differ from those of other processes too: drivers keep what they compiled on disk. */
export function salts(): () => number {
  let salt = Math.floor(Math.random() * 2 ** 30);
  return () => salt++;
}
