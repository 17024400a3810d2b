import type { ErrorSection } from "./entry.ts";

export const tool: ErrorSection = {
  title: "The `sinter` command",
  intro:
    "Printed by the command; see [cli.md](cli.md). Mistakes on the command line end it with exit code 2, everything else with 1.",
  errors: [
    {
      code: "bad-usage",
      summary: "a command line that the command does not understand",
      text: `
An unknown command or option, a missing or superfluous argument, or an option's value of the wrong form. \`sinter COMMAND --help\` lists what there is, with
examples. The nearest name is suggested.`,
    },
    {
      code: "bad-config",
      summary: "`sinter.config.ts` cannot be loaded, or has no config in it",
      text: `
The config is a module, bundled by esbuild and imported; syntax errors, failing imports and whatever it throws are reported at their place. Its default export is
the config: \`export default defineConfig({ … })\`. Keys that nobody reads are the error \`unknown-option\`, values of the wrong kind \`bad-option\`, both at the
key's line.`,
      example: {
        wrong: "export const config = { include: 'kernels/**' };",
        right:
          "import { defineConfig } from 'sinter/build';\n\nexport default defineConfig({ include: 'kernels/**/*.kernel.ts' });",
        shown: true,
      },
    },
    {
      code: "unknown-export",
      summary: "`sinter explain` was asked for an export that the file does not have",
      text: `
After \`#\` stands the name of an export that is a kernel (\`defineKernel\`) or a program (\`compile\`). The message lists those of the file; without \`#\`, all of them are explained.`,
    },
    {
      code: "nothing-to-explain",
      summary: "a file exports neither kernels nor programs",
      text: `
\`sinter explain\` imports the file and looks for what \`defineKernel\` and \`compile\` return. A program that is made inside a function, such as after loading weights, is
not exported: export the \`compile(…)\` itself, which needs no weights, and load it elsewhere.`,
    },
    {
      code: "unknown-code",
      summary: "`sinter explain` was asked for an error code that does not exist",
      text: "Codes are written as they are printed in brackets behind an error: `sinter explain shape-mismatch`. The page [errors.md](errors.md) lists all of them.",
    },
    {
      code: "module-error",
      summary: "a module cannot be bundled, or throws while it is imported",
      text: `
Kernel files and modules given to \`sinter explain\` are bundled by esbuild and then imported, so they run. Syntax errors and imports that cannot be found are reported
at their place. A module that throws on import mostly wants something that only an application has: a device, a page, an environment variable. Keep kernels
and programs in modules that only define them.`,
    },
    {
      code: "internal-error",
      summary: "Sinter failed in a way that it has no error for, which is a bug",
      text: `
Something was thrown that is no error of Sinter. Nothing is known about the cause beyond the stack below the message. Please report it with that stack, the output of
\`sinter doctor\` and, if you can, the kernel file.`,
    },
  ],
};
