import { build } from "../../build/index.ts";
import { progressText, reportBuild, summary } from "../build-report.ts";
import { type CommandModule, exit } from "../context.ts";
import { projectOf } from "../project.ts";

export const run: CommandModule["run"] = async (context) => {
  const { terminal } = context;
  const { root, options } = await projectOf(context);
  const result = await build({ ...options, root, onProgress: (e) => terminal.progress(progressText(e)) });
  reportBuild(result, terminal, root);
  terminal.say(summary(result));
  return result.ok ? exit.ok : exit.failed;
};
