/** Everything of `sinter` for browsers, with devices that Dawn opens and with files. */
export * from "../index.ts";
export { openDevice } from "./device.ts";
export { type FileSource, openFile, saveFile } from "./files.ts";
