/** Text as parts of JavaScript: literals and comments that hold anything and still end where they should. */

/** What may not stand in a script as it is: line ends that only JavaScript knows, and what HTML would read in an inline script. */
const guarded = (text: string): string =>
  text
    .replace(/<(?=\/script|!--)/gi, "\\x3C")
    .replace(/[\u2028\u2029]/g, (c) => (c === "\u2028" ? "\\u2028" : "\\u2029"));

/** A string literal. */
export const stringLiteral = (text: string): string => guarded(JSON.stringify(text));

/** A template literal: line ends stay line ends, so that long texts can be read. */
export function templateLiteral(text: string): string {
  const escaped = text
    .replace(/[\\`]|\$(?=\{)/g, "\\$&")
    // A carriage return would be read as a line feed.
    .replace(/\r/g, "\\r")
    .replace(control, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return `\`${guarded(escaped)}\``;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const control = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/g;

const identifier = /^[A-Za-z_$][\w$]*$/;

/** `.name`, or `["any text"]`. */
export const property = (name: string): string => (identifier.test(name) ? `.${name}` : `[${stringLiteral(name)}]`);

/** Text that ends no comment and, in a `//` comment, no line. */
export const commentText = (text: string): string =>
  text
    .replaceAll("*/", "*\\/")
    .replace(/<(?=\/script|!--)/gi, "<\\")
    .replace(/[\r\n\u2028\u2029]+/g, " ")
    .replace(control, "\ufffd");
