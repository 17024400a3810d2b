/** What is said about an error code: the page `docs/errors.md` and `sinter explain CODE` are made of it. */
export interface ErrorText {
  /** kebab-case, stable: what `SinterError.code` holds. */
  readonly code: string;
  /** What it means in one line: a noun phrase, no capital, no full stop. */
  readonly summary: string;
  /** When it is raised, why it is an error and what to do. Markdown paragraphs, separated by empty lines. */
  readonly text: string;
  readonly example?: ErrorExample;
}

/** A mistake and its correction, in JavaScript. Tests run both, with everything that `sinter` exports and a `gpu` in scope. */
export interface ErrorExample {
  readonly wrong: string;
  readonly right: string;
  /** Not run: it needs a build, a browser, or a device that fails. */
  readonly shown?: true;
}

/** Codes that are raised by one part of Sinter. */
export interface ErrorSection {
  readonly title: string;
  /** Who raises them. */
  readonly intro: string;
  readonly errors: readonly ErrorText[];
}
