import { compile, f32, openDevice, SinterError, softmax } from "sinter";
import * as nn from "sinter/nn";
import { openFile } from "sinter/node";
import { type GpuTensor, loadManifest } from "sinter/runtime";
import { expectKernels } from "sinter/testing";

const program = compile({ x: f32(2, 3) }, ({ x }) => softmax(nn.relu(x), { axis: -1 }));
expectKernels(program, 1);

const gpu = await openDevice();
const session = await program.load(gpu);
const out: GpuTensor = await session.run({ x: new Float32Array(6) });
const [first] = await out.data();
if (Math.abs((first as number) - 1 / 3) > 1e-6) throw new Error(String(first));

const again = await loadManifest(gpu, program.manifest());
const { out: same } = await again.run({ x: new Float32Array(6) });
if ((await same!.data())[0] !== first) throw new Error("the manifest gives something else");

const refused = await session.run({ x: new Float32Array(5) }).catch((e: unknown) => e);
if (!(refused instanceof SinterError)) throw new Error("no error");
const missing = await openFile("missing").catch((e: unknown) => e);
if (!(missing instanceof SinterError)) throw new Error("two copies of the package");
gpu.dispose();
console.log("ran");
