import type { Region } from "../fuse/region.ts";
import type { Capabilities } from "../manifest/manifest.ts";
import {
  pairBytes,
  pairName,
  pairTiles,
  type StoredTile,
  storedBytes,
  storedName,
  storedTiles,
} from "../passes/matrix-tiles.ts";
import type { Candidate } from "./candidate.ts";
import { productOf } from "./contraction.ts";
import { writePairs } from "./contraction-matrix-f16x3.ts";
import type { StoredOperand } from "./contraction-matrix-f16x3-fragments.ts";
import { storedOperands, writeStored } from "./contraction-matrix-f16x3-stored.ts";
import { tileCandidates } from "./contraction-matrix-schedule.ts";
import { ridesOn } from "./riders.ts";

/** Fragments are loaded directly along the sum; riders add up lines that are staged, each for a term of the sum. */
const storedFits = (region: Region, { direct }: StoredTile, left: StoredOperand, right: StoredOperand): boolean =>
  direct === left.inner && !(ridesOn(region, "a") && left.inner) && !(ridesOn(region, "b") && right.inner);

/**
 * The tiles by which a contraction of f32 is done as products of halves, the one that is taken without measurements first. None unless
 * the product asks for it, which the compiler lets it only on devices that have subgroup matrices, and in texts for all sizes.
 */
export function pairCandidates(region: Region, capabilities: Capabilities): readonly Candidate[] {
  const p = productOf(region);
  if (p.node.attrs.precision !== "f16x3" || p.node.type.dtype !== "f32" || region.uniform) return [];
  if (!capabilities.features.subgroupMatrix || capabilities.software) return [];
  const stored = storedOperands(p);
  if (stored) {
    const [left, right] = stored;
    return tileCandidates(
      ...([region, capabilities, storedTiles, storedBytes] as const),
      (t) => ({ name: storedName(t), write: () => writeStored(region, capabilities, t) }),
      (t) => storedFits(region, t, left, right),
    );
  }
  return tileCandidates(region, capabilities, pairTiles, pairBytes, (t) => ({
    name: pairName(t),
    write: () => writePairs(region, capabilities, t),
  }));
}
