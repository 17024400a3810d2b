/** lavapipe needs ten times as long to compile a kernel, and is the second adapter that a run of all suites looks at. */
const second = process.env.SINTER_ADAPTER === "lavapipe" && process.env.SINTER_SHARE !== "all";

/** The second adapter takes one of so many shares of a long table. */
const shares = 4;

/** Another one each day, the same all day; SINTER_SHARE is a number to choose it, or `all`. */
const turn = Number(process.env.SINTER_SHARE ?? Math.floor(Date.now() / 86_400_000)) % shares;

const numberOf = (name: string): number => {
  let n = 0;
  for (const c of name) n = (31 * n + (c.codePointAt(0) as number)) % 1_000_003;
  return n;
};

/** Whether this run leaves out a case of a long table. */
export const leftOut = (name: string): boolean => second && numberOf(name) % shares !== turn;

export const leftOutWhy = "lavapipe takes a quarter of this table a day; SINTER_SHARE=all takes all of it";
