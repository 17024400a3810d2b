// Adds up vitest's JSON reports and repeats what failed: node scripts/totals.mjs REPORT... Exits 1 when a test failed or nothing was
// reported.
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";

/** The lines of a message that are shown: a failed property prints its graph. */
const shown = 40;

const print = (name, message) => {
  const lines = stripVTControlCharacters(message ?? "").split("\n");
  console.log(`FAILED ${name}\n${lines.slice(0, shown).join("\n")}`);
};

const totals = { passed: 0, failed: 0, skipped: 0 };
let broken = process.argv.length < 3;
for (const file of process.argv.slice(2)) {
  try {
    const r = JSON.parse(readFileSync(file, "utf8"));
    totals.passed += r.numPassedTests;
    totals.failed += r.numFailedTests;
    totals.skipped += r.numPendingTests + r.numTodoTests;
    // A file that cannot be loaded fails without a failed test.
    broken ||= !r.success;
    for (const suite of r.testResults.filter((s) => s.status === "failed")) {
      const failed = suite.assertionResults.filter((t) => t.status === "failed");
      for (const t of failed) print(`${relative("", suite.name)}: ${t.fullName}`, t.failureMessages[0]);
      if (failed.length === 0) print(relative("", suite.name), suite.message);
    }
  } catch (e) {
    console.error(`totals: ${file}: ${e.message}`);
    broken = true;
  }
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = broken || totals.failed > 0 ? 1 : 0;
