// Rewrites the expectations of test/filetests in place; the diff is the review.
import { spawnSync } from "node:child_process";

const { status } = spawnSync("npx", ["vitest", "run", "test/filetests"], {
  stdio: "inherit",
  env: { ...process.env, BLESS: "1" },
});
process.exit(status ?? 1);
