/** lavapipe needs ten times as long to compile a kernel, and is the second adapter that a run of all suites looks at. */
const second = process.env.SINTER_ADAPTER === "lavapipe" && process.env.SINTER_SHARE !== "all";

/** Another third each day, the same one all day; SINTER_SHARE is a number to choose it, or `all`. */
const turn = Number(process.env.SINTER_SHARE ?? Math.floor(Date.now() / 86_400_000)) % 3;

const numberOf = (name: string): number => {
  let n = 0;
  for (const c of name) n = (31 * n + (c.codePointAt(0) as number)) % 1_000_003;
  return n;
};

/** Whether this run leaves out a case of a long table: the second adapter takes a third of them. */
export const leftOut = (name: string): boolean => second && numberOf(name) % 3 !== turn;

export const leftOutWhy = "lavapipe takes a third of this table a day; SINTER_SHARE=all takes all of it";
