// Everything that is checked without running the code, two checks at a time: node scripts/check.mjs. Exits 1 if one fails.
import { spawn } from "node:child_process";

/** Checks that follow each other; the lists take about as long as each other. */
const lists = [
  // TypeScript 7 takes a quarter of the time of 6, which stays for its interface: documentation is written and snippets are checked with it.
  ["node node_modules/typescript-7/bin/tsc -p tsconfig.json", "biome check --error-on-warnings .", "knip"],
  ["node scripts/run.mjs codegen/cli/main.ts check"],
];

const run = (command) =>
  new Promise((resolve) => {
    const child = spawn(command, { shell: true, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (s) => {
        text += s;
      });
    }
    child.on("close", (status) => {
      process.stdout.write(`> ${command}\n${text}`);
      resolve(status === 0);
    });
  });

async function all(commands) {
  let good = true;
  for (const c of commands) good = (await run(c)) && good;
  return good;
}

const results = await Promise.all(lists.map(all));
process.exitCode = results.every(Boolean) ? 0 : 1;
