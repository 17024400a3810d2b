import { SinterError } from "../base/diagnostic.ts";

const codes: Readonly<Record<string, string>> = {
  GPUValidationError: "gpu-validation",
  GPUOutOfMemoryError: "out-of-memory",
  GPUInternalError: "gpu-internal",
};

const hints: Readonly<Record<string, string>> = {
  "gpu-validation":
    "check that the buffers you gave belong to this device and are not destroyed; without any, please report it",
  "out-of-memory": "dispose results and sessions that are done with, or use smaller shapes",
  "gpu-internal": "open a new device and load the program again; if that does not help, please report it",
};

/** A WebGPU error as a diagnostic. */
export function gpuError(error: GPUError, message: string): SinterError {
  const code = codes[error.constructor?.name ?? ""] ?? "gpu-internal";
  return new SinterError({ code, message, cause: error.message.trim(), hint: hints[code]! }, { cause: error });
}

/** The error, with a hint that names the caller's buffers where these may be what the device refused. */
export function aboutBuffers(error: unknown, names: readonly string[]): unknown {
  if (!(error instanceof SinterError) || error.code !== "gpu-validation" || names.length === 0) return error;
  const list = names.map((n) => JSON.stringify(n)).join(", ");
  const hint = `check that what you gave for ${list} belongs to this device and is not destroyed`;
  return new SinterError({ ...error.diagnostic, hint }, { cause: error.cause });
}

export const thrownError = (what: string, thrown: unknown): SinterError =>
  new SinterError(
    {
      code: "gpu-internal",
      message: `the GPU refused to ${what}`,
      cause: String((thrown as Error)?.message ?? thrown),
      hint: hints["gpu-internal"]!,
    },
    { cause: thrown },
  );

export const aborted = (what: string, signal: AbortSignal | undefined): SinterError =>
  new SinterError(
    {
      code: "aborted",
      message: `${what} was aborted`,
      cause: String((signal?.reason as Error | undefined)?.message ?? signal?.reason),
      hint: "nothing is held: make the call again when you want its result",
    },
    { cause: signal?.reason },
  );

export const timedOut = (what: string, ms: number): SinterError =>
  new SinterError({
    code: "timeout",
    message: `${what} did not end within ${ms / 1000} s`,
    hint: "raise openDevice({ timeoutMs }), or look for a kernel that does not end",
  });
