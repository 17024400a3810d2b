// Adds up vitest's JSON reports: node scripts/totals.mjs REPORT... Exits 1 when a test failed or nothing was reported.
import { readFileSync } from "node:fs";

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
  } catch (e) {
    console.error(`totals: ${file}: ${e.message}`);
    broken = true;
  }
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
process.exitCode = broken || totals.failed > 0 ? 1 : 0;
