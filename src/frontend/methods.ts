import * as attention from "./attention.ts";
import * as binary from "./binary.ts";
import * as contract from "./contract.ts";
import * as dynamic from "./dynamic.ts";
import * as gradStop from "./grad-stop.ts";
import * as indexed from "./indexed.ts";
import * as normalise from "./normalise.ts";
import * as reductions from "./reductions.ts";
import * as scan from "./scan.ts";
import * as slice from "./slice.ts";
import * as split from "./split.ts";
import * as unary from "./unary.ts";
import * as views from "./views.ts";

/**
 * The functions that are methods of tensors too. These modules export such functions and types only: a tensor's interface
 * is made of them, with their documentation.
 */
export const methods = {
  ...attention,
  ...binary,
  ...contract,
  ...dynamic,
  ...gradStop,
  ...indexed,
  ...normalise,
  ...reductions,
  ...scan,
  ...slice,
  ...split,
  ...unary,
  ...views,
};

/** A method of each function of a module: the function without its first parameter. */
type Method<F> = F extends (x: never, ...rest: infer R) => infer T ? (...rest: R) => T : never;
type MethodsOf<M> = { [K in keyof M]: Method<M[K]> };

// Module by module: the properties of a spread object would lose the functions' documentation.
export type Methods = MethodsOf<typeof attention> &
  MethodsOf<typeof binary> &
  MethodsOf<typeof contract> &
  MethodsOf<typeof dynamic> &
  MethodsOf<typeof gradStop> &
  MethodsOf<typeof indexed> &
  MethodsOf<typeof normalise> &
  MethodsOf<typeof reductions> &
  MethodsOf<typeof scan> &
  MethodsOf<typeof slice> &
  MethodsOf<typeof split> &
  MethodsOf<typeof unary> &
  MethodsOf<typeof views>;
