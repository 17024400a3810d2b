import { setAdapterOpener } from "../runtime/device.ts";
import { openAdapter } from "./adapters.ts";

setAdapterOpener(openAdapter);

/** `openDevice` as in browsers, on adapters that Dawn opens in Node. */
export { openDevice } from "../runtime/device.ts";
