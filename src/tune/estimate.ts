import { shapeOf } from "../fuse/pull.ts";
import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import { matrixName, matrixTiles, pairName, pairTiles, storedName, storedTiles } from "../passes/matrix-tiles.ts";
import { quickest, tileName, tiles } from "../passes/product-tiles.ts";
import { productOf } from "../wgsl/contraction.ts";

/** What is expected to take so many times as long as the quickest is not compiled, let alone measured. */
const hopeless = 2;
/** Multiply-adds from which on products without workgroup memory are no match for tiles. */
const manyTerms = 2 ** 27;
/** So many times as many invocations a row as are usual, or as few, do not win. */
const mostThreads = 8;
/** Elements of an attention from which on an invocation a row is no match for tiles. */
const manyElements = 2 ** 16;

const paces = new Map([
  ...tiles.map((t) => [tileName(t), t] as const),
  ...matrixTiles.map((t) => [matrixName(t), t] as const),
  ...pairTiles.map((t) => [pairName(t), t] as const),
  ...storedTiles.map((t) => [storedName(t), t] as const),
]);

/** Whether one of a kernel's variants, the usual one first, may be the quickest: the compiler's own estimates say so, or say nothing. */
export function promising(
  region: Region,
  { software }: Capabilities,
  names: readonly string[],
): (name: string) => boolean {
  const [usual] = names as [string];
  if (software || region.uniform) return () => true;
  const judge = judges[region.family]?.(region, names) ?? (() => true);
  return (name) => name === usual || judge(name);
}

type Judge = (region: Region, names: readonly string[]) => (name: string) => boolean;

const judges: Partial<Record<Region["family"], Judge>> = {
  contraction(region, names) {
    const { m, n, parts, batches } = productOf(region);
    const size = { m, n, depth: parts.depth, count: batches };
    const times = new Map(
      names.flatMap((name) => {
        const tile = paces.get(name);
        const time = tile && quickest(size, [tile], () => true)?.time;
        return time === undefined ? [] : [[name, time] as const];
      }),
    );
    const least = Math.min(...times.values());
    const halves = [...times].some(([name, t]) => t === least && !name.startsWith("tile_"));
    const large = times.size > 0 && m * n * parts.depth * batches >= manyTerms;
    return (name) => {
      const time = times.get(name);
      if (time !== undefined) return time <= hopeless * least;
      return name.startsWith("direct") ? !large : !(halves && name.startsWith("tile_"));
    };
  },
  row(_, names) {
    const threads = (name: string): number => Number(/^row_(\d+)x/.exec(name)?.[1] ?? Number.NaN);
    const usual = threads(names[0] as string);
    return (name) => {
      const ratio = threads(name) / usual;
      return !(ratio > mostThreads || ratio < 1 / mostThreads);
    };
  },
  attention(region, names) {
    const [node] = region.anchors;
    const elements = node ? shapeOf(node).reduce((p, d) => p * d, 1) : 0;
    const others = names.some((name) => !name.endsWith("_row"));
    return (name) => !(others && elements >= manyElements && name.endsWith("_row"));
  },
};
