import { defineConfig } from "sinter/build";

/** The kernel library. Its modules are what pages load, so their texts are short; the `.wgsl` files beside them are for reading. */
export default defineConfig({ include: "kernels/*.kernel.ts", minify: true });
