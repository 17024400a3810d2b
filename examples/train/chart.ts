import { type History, smoothed } from "./history.ts";

const [width, height] = [920, 340];
const frame = { left: 56, right: 20, top: 20, bottom: 44 };

/** The loss of every step, its moving average and the loss of held-out words, as SVG that takes its colours from the page. */
export function lossChart({ losses, evaluations }: History, bigram: number): string {
  const top = Math.max(...losses, bigram);
  const low = Math.min(...losses, ...evaluations.map((e) => e.heldOut), bigram);
  const step = (top - low) / 5 > 0.25 ? 0.5 : (top - low) / 5 > 0.1 ? 0.2 : 0.1;
  const [from, to] = [Math.floor(low / step) * step, Math.ceil(top / step) * step];
  const x = (i: number): number => frame.left + (i / Math.max(1, losses.length)) * (width - frame.left - frame.right);
  const y = (v: number): number => frame.top + ((to - v) / (to - from)) * (height - frame.top - frame.bottom);
  const at = (i: number, v: number): string => `${x(i).toFixed(1)},${y(v).toFixed(1)}`;
  const path = (values: readonly number[]): string => values.map((v, i) => `${i ? "L" : "M"}${at(i + 1, v)}`).join("");
  const levels = Array.from({ length: Math.round((to - from) / step) + 1 }, (_, i) => from + i * step);
  const every = niceStep(losses.length / 8);
  const ticks = Array.from({ length: Math.floor(losses.length / every) + 1 }, (_, i) => i * every);
  const right = width - frame.right;
  return [
    `<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Loss over the steps">`,
    ...levels.map(
      (v) =>
        `<line class="grid" x1="${frame.left}" x2="${right}" y1="${y(v).toFixed(1)}" y2="${y(v).toFixed(1)}"/>` +
        `<text x="${frame.left - 8}" y="${(y(v) + 4).toFixed(1)}" text-anchor="end">${v.toFixed(1)}</text>`,
    ),
    ...ticks.map(
      (i) => `<text x="${x(i).toFixed(1)}" y="${height - frame.bottom + 20}" text-anchor="middle">${i}</text>`,
    ),
    `<text x="${(frame.left + right) / 2}" y="${height - 6}" text-anchor="middle">step</text>`,
    `<path class="raw" d="${path(losses)}"/>`,
    `<line class="bigram" x1="${frame.left}" x2="${right}" y1="${y(bigram).toFixed(1)}" y2="${y(bigram).toFixed(1)}"/>`,
    `<text class="bigram" x="${frame.left + 6}" y="${(y(bigram) - 6).toFixed(1)}">a bigram model: ${bigram.toFixed(2)}</text>`,
    `<path class="smooth" d="${path(smoothed(losses))}"/>`,
    ...evaluations.map(
      (e) =>
        `<g class="held"><title>step ${e.step}: ${e.heldOut.toFixed(3)} on held-out words</title>` +
        `<circle cx="${x(e.step).toFixed(1)}" cy="${y(e.heldOut).toFixed(1)}" r="5"/></g>`,
    ),
    "</svg>",
  ].join("\n");
}

/** The smallest of 1, 2 and 5 times a power of ten that is at least `least`. */
function niceStep(least: number): number {
  const unit = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return ([1, 2, 5, 10].find((k) => k * unit >= least) as number) * unit;
}
