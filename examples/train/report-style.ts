/** The report's style sheet, for light and dark screens. */
export const style = `
:root { color-scheme: light dark; --page: #fbfaf8; --card: #fff; --ink: #1f2328; --soft: #656d76; --line: #e3e1dc; --main: #0060a8; --warm: #c2570c; --held: #00795a; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171a; --card: #1c2024; --ink: #e6e4df; --soft: #9aa3ab; --line: #31373d; --main: #6cb6ff; --warm: #f0883e; --held: #3fcfa0; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 40px 20px 80px; }
h1 { font-size: 34px; line-height: 1.15; margin: 0 0 8px; letter-spacing: -0.02em; }
h2 { font-size: 20px; margin: 0 0 6px; }
header p { color: var(--soft); max-width: 62ch; margin: 0; }
header em { font-style: normal; color: var(--ink); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 24px; margin-top: 20px; }
section > p { color: var(--soft); margin: 0 0 12px; font-size: 14px; }
.tiles { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; margin-top: 28px; }
@media (max-width: 640px) { .tiles { grid-template-columns: repeat(2, 1fr); } }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px; }
.tile b { display: block; font-size: 30px; line-height: 1.1; font-variant-numeric: tabular-nums; }
.tile span { display: block; font-weight: 600; font-size: 14px; }
.tile small { display: block; color: var(--soft); font-size: 13px; line-height: 1.35; margin-top: 4px; }
.chart { width: 100%; height: auto; display: block; }
.chart text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.chart .grid { stroke: var(--line); }
.chart path { fill: none; stroke-linejoin: round; }
.chart .raw { stroke: var(--main); stroke-opacity: 0.28; stroke-width: 1; }
.chart .smooth { stroke: var(--main); stroke-width: 2.5; }
.chart line.bigram { stroke: var(--warm); stroke-dasharray: 6 5; stroke-width: 1.5; }
.chart text.bigram { fill: var(--warm); }
.chart .held circle { fill: var(--held); stroke: var(--card); stroke-width: 2; }
.key { white-space: nowrap; margin-left: 14px; }
.key::before { content: ""; display: inline-block; width: 18px; height: 3px; margin-right: 6px; vertical-align: middle; background: var(--main); border-radius: 2px; }
.key.raw::before { opacity: 0.35; height: 1px; }
.key.held::before { width: 9px; height: 9px; border-radius: 50%; background: var(--held); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12px; background: var(--card); position: sticky; top: 0; }
th, td { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tbody tr:last-child td { border-bottom: 0; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.scroll { overflow-x: auto; }
.tall { max-height: 460px; overflow-y: auto; }
.ops { color: var(--soft); font-size: 12.5px; min-width: 220px; max-width: 420px; }
code, pre { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { margin: 0; overflow-x: auto; }
.bar { width: 130px; padding-right: 0; }
.bar i { display: block; height: 9px; margin-top: 6px; background: var(--main); border-radius: 2px; min-width: 1px; }
.word { display: inline-block; margin: 0 6px 2px 0; }
.word.known { color: var(--held); font-weight: 600; }
.memory { background: #fff; border-radius: 8px; overflow: hidden; }
`;
