import { readOptions } from "./frontend/options.ts";
import { type ProfileReport, profileReport } from "./profile-report.ts";
import { checkSession } from "./runtime/check-session.ts";
import { checkOptions } from "./runtime/options.ts";
import { type ProfileOptions, profileRuns } from "./runtime/profile.ts";
import { programOptions } from "./runtime/program-options.ts";
import type { Session, SessionInput } from "./session.ts";
import type { RunInputs } from "./types.ts";

/**
 * Where the GPU time of a session's program goes: time of every kernel by phase, with the bytes it moves and the operations
 * it does each second, beside what a copy of its bytes would take. Runs the program `2 * runs + 1` times, state and all, so
 * profile what may run again: half of the runs have one compute pass for each dispatch, with timestamps around it, and half
 * have one pass in all. Results are dropped.
 * @param inputs as for {@link Session.run}
 * @throws SinterError `no-timestamps` where the device has none, `too-many-dispatches` above 2048, and as {@link Session.run}
 */
export async function profile<S, R, W extends string, N extends string>(
  session: Session<S, R, W, N>,
  inputs: RunInputs<S, W | N, SessionInput>,
  options: ProfileOptions = {},
): Promise<ProfileReport> {
  const { signal, runs } = readOptions("profile", options, { signal: undefined, runs: undefined });
  checkOptions("profile", { signal, runs }, ["signal", "runs"], programOptions);
  checkSession("profile", session, "made");
  const { inner, gpu, made } = session;
  const { dispatches, kernels } = inner.manifest;
  const profiled = await profileRuns(inner, session.flatInputs(inputs), { signal, runs });
  return profileReport({
    adapter: [gpu.adapterName, gpu.info?.description || gpu.info?.vendor].filter(Boolean).join(": "),
    kernels: made.report.kernels,
    labels: dispatches.map((d) => kernels[d.kernel]?.label ?? ""),
    pipelines: dispatches.map((d) => d.kernel),
    profiled,
    spans: made.spans,
  });
}
