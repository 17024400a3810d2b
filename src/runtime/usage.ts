/** WebGPU's buffer usage and map mode bits; the global objects that name them do not exist in every host. */
export const usage = {
  mapRead: 0x0001,
  copySrc: 0x0004,
  copyDst: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  indirect: 0x0100,
  queryResolve: 0x0200,
} as const;

export const mapModeRead = 0x0001;
export const shaderStageCompute = 0x4;
