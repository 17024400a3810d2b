import { cast, type Tensor } from "sinter";

/** x in f32: what every kernel of the library computes in. */
export const wide = (x: Tensor): Tensor => (x.dtype === "f32" ? x : cast(x, "f32"));

/** y rounded to the dtype of x, once, where it is stored. */
export const like = (y: Tensor, x: Tensor): Tensor => (y.dtype === x.dtype ? y : cast(y, x.dtype));
