import { parseArgs } from "node:util";

export const help = `usage: npm run demo -- [--json] [--why] [SENTENCE ...]

Embeds sentences with Universal Sentence Encoder Lite, compiled to fused WGSL kernels, and shows how similar they are.
Without sentences it embeds a dozen of its own.

  --json      print one JSON object with the figures instead of the report
  --why       also print why kernels did not fuse further
  -h, --help  print this

SINTER_ADAPTER=gpu|lavapipe|swiftshader|null chooses the adapter; NO_COLOR and FORCE_COLOR decide on colours.`;

export interface Options {
  readonly json: boolean;
  readonly why: boolean;
  readonly help: boolean;
  readonly sentences: readonly string[];
}

/** The command line's options, or the line that says what is wrong with it. */
export function parseOptions(args: readonly string[]): Options | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        why: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    return { ...values, sentences: positionals };
  } catch (e) {
    return (e as Error).message.split(". ")[0] as string;
  }
}
