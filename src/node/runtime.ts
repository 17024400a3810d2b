// What `sinter/runtime` is in Node: the runtime, with Dawn's adapters.
export * from "../runtime/index.ts";
export { openDevice } from "./device.ts";
