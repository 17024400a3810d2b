// What `sinter/runtime` is in Node: the runtime with Dawn's adapters installed.
import "./device.ts";

export * from "../runtime/index.ts";
