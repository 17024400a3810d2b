import { compile, f32, type Gpu, makeTensor, matmul as matmulOp } from "sinter";
import { jaxIdle, openJax } from "./jax.ts";
import { type Contender, compare, noise } from "./measure.ts";
import type { Row } from "./report.ts";

const sizes = [
  { m: 512, k: 768, n: 768 },
  { m: 512, k: 768, n: 3072 },
];

/** f32 matrix products against `@jax-js/jax` on the same adapter, operands resident and results left on the GPU; nothing without that package. */
export async function vsJax(gpu: Gpu, only: string): Promise<Row[]> {
  const asked = sizes.filter(({ m, n, k }) => `${m}x${n}x${k}`.startsWith(only));
  const jax = asked.length ? await openJax(gpu.adapterName).catch(missing) : undefined;
  if (!jax) return [];
  const rows: Row[] = [];
  for (const { m, k, n } of asked) {
    const [a, b] = [noise(m * k, 1), noise(k * n, 2)];
    const session = await compile({ a: f32(m, k), b: f32(k, n) }, ({ a, b }) => matmulOp(a, b)).load(gpu);
    const ours = {
      a: await makeTensor(gpu, a, { dtype: "f32", shape: [m, k] }),
      b: await makeTensor(gpu, b, { dtype: "f32", shape: [k, n] }),
    };
    const sinter: Contender = {
      label: "sinter",
      once: async () => (await session.run(ours)).dispose(),
      settle: () => gpu.idle(),
    };
    const theirs = { a: jax.numpy.array(a, { shape: [m, k] }), b: jax.numpy.array(b, { shape: [k, n] }) };
    const product = jax.jit((x: typeof theirs.a, y: typeof theirs.a) => jax.numpy.matmul(x, y));
    let last: ReturnType<typeof product> | undefined;
    const jaxjs: Contender = {
      label: "jax-js",
      once: async () => {
        last?.dispose();
        // Its functions consume their arguments: a new reference for each call.
        last = product(theirs.a.ref, theirs.b.ref);
      },
      settle: async () => {
        await last?.blockUntilReady();
        await jaxIdle();
      },
    };
    const worst = await difference(await session.run(ours), product(theirs.a.ref, theirs.b.ref));
    const comparison = await compare(sinter, jaxjs);
    const gflops = (2 * m * n * k) / 1e6 / comparison.a.median_ms;
    const figures = { sinter_gflops: gflops, max_abs_diff: worst };
    rows.push({ name: "matmul", shape: `${m}x${k} ${k}x${n}`, comparison, figures });
    session.dispose();
    for (const x of [ours.a, ours.b, theirs.a, theirs.b, last]) x?.dispose();
  }
  return rows;
}

function missing(e: unknown): undefined {
  if ((e as { code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw e;
  return undefined;
}

/** The largest difference of two results; both are read back and disposed. */
async function difference(
  ours: { data(): Promise<ArrayLike<number>>; dispose(): void },
  theirs: { data(): Promise<ArrayLike<number>> },
): Promise<number> {
  const [x, y] = [await ours.data(), await theirs.data()];
  ours.dispose();
  let worst = 0;
  for (let i = 0; i < x.length; i++) worst = Math.max(worst, Math.abs((x[i] as number) - (y[i] as number)));
  return worst;
}
