import { SinterError } from "../base/diagnostic.ts";

const codes: Readonly<Record<string, string>> = {
  GPUValidationError: "gpu-validation",
  GPUOutOfMemoryError: "out-of-memory",
  GPUInternalError: "gpu-internal",
};

/** A WebGPU error as a diagnostic. */
export function gpuError(error: GPUError, message: string): SinterError {
  const code = codes[error.constructor?.name ?? ""] ?? "gpu-internal";
  return new SinterError({ code, message, cause: error.message }, { cause: error });
}

export const thrownError = (what: string, thrown: unknown): SinterError =>
  new SinterError(
    {
      code: "gpu-internal",
      message: `the GPU refused to ${what}`,
      cause: String((thrown as Error)?.message ?? thrown),
    },
    { cause: thrown },
  );

export const aborted = (what: string, signal: AbortSignal | undefined): SinterError =>
  new SinterError({ code: "aborted", message: `${what} was aborted` }, { cause: signal?.reason });

export const timedOut = (what: string, ms: number): SinterError =>
  new SinterError({
    code: "timeout",
    message: `${what} did not end within ${ms / 1000} s`,
    hint: "raise openDevice({ timeoutMs }), or look for a kernel that does not end",
  });
