export { type Place, SinterError } from "./base/diagnostic.ts";
export type { DType } from "./base/dtype.ts";
export * from "./frontend/index.ts";
export { type Dim, dim, type Shape } from "./ir/dim.ts";
export { type CompileOptions, compile, Program } from "./program.ts";
