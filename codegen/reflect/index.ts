/** Reads the interface of a user's own WGSL, at build time. */
export { type ReadText, readingWgsl } from "./reading-texts.ts";
export { reflectWgsl } from "./reflect.ts";
export { checkWgsl, compileWgsl, type WgslProblem } from "./validate.ts";
