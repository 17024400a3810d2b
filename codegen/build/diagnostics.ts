import type { Diagnostic } from "../../src/base/diagnostic.ts";
import { byText } from "./paths.ts";
import type { BuildDiagnostic } from "./types.ts";

export const withSeverity = (severity: BuildDiagnostic["severity"], list: readonly Diagnostic[]): BuildDiagnostic[] =>
  list.map((d) => ({ ...d, severity }));

/** Errors first, then by file and place. */
export const inOrder = (list: readonly BuildDiagnostic[]): BuildDiagnostic[] =>
  [...list].sort(
    (a, b) =>
      byText(a.severity, b.severity) ||
      byText(a.place?.file ?? "", b.place?.file ?? "") ||
      (a.place?.line ?? 0) - (b.place?.line ?? 0) ||
      (a.place?.column ?? 0) - (b.place?.column ?? 0),
  );
