import { check } from "../../build/index.ts";
import { changed, progressText, reportBuild, summary } from "../build-report.ts";
import { type CommandModule, exit } from "../context.ts";
import { projectOf } from "../project.ts";

export const run: CommandModule["run"] = async (context) => {
  const { terminal } = context;
  const { root, options } = await projectOf(context);
  const result = await check({ ...options, root, onProgress: (e) => terminal.progress(progressText(e)) });
  reportBuild(result, terminal, root);
  terminal.say(summary(result));
  const stale = changed(result);
  if (stale.some((f) => f.status !== "foreign"))
    terminal.say(`${terminal.colors.green("help")}: run sinter build, and commit what it writes`);
  if (stale.some((f) => f.status === "foreign")) {
    terminal.say(`${terminal.colors.green("help")}: move foreign files elsewhere: the folder is the build's own`);
  }
  return result.ok ? exit.ok : exit.failed;
};
