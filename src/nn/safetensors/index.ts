/** Files of tensors: https://github.com/huggingface/safetensors */
export { type LoadSafetensorsOptions, loadSafetensors, readSafetensors, type Safetensors } from "./read.ts";
export type { ByteSource, SafetensorsSource } from "./source.ts";
export {
  type RemoteTensor,
  type SavedTensor,
  type SaveSafetensorsOptions,
  saveSafetensors,
  writeSafetensors,
} from "./write.ts";
