/** One row of `vocab.json`: the text of a piece and its log probability. */
export type Vocabulary = readonly (readonly [piece: string, score: number])[];

/** The vocabulary's first rows are control symbols that no text produces; row 0 stands for an unknown character. */
const reserved = 6;
const unknown = 0;
const separator = "\u2581";

interface Trie {
  readonly next: Map<string, Trie>;
  /** Row of the piece that ends here. */
  id?: number;
}

export interface Tokenizer {
  /** Token ids of a text, one-dimensional. The empty text has none. */
  encode(text: string): number[];
}

/**
 * A unigram tokeniser (Kudo 2018, "Subword Regularization"): of all ways to cut the text into pieces of the vocabulary,
 * the one with the largest sum of log probabilities, found by Viterbi's algorithm over code points.
 *
 * The published encoder was used with a tokeniser that treats an end that no piece reaches as an unknown character of
 * score 0; the same is done here, since the embeddings depend on the ids.
 */
export function createTokenizer(vocabulary: Vocabulary): Tokenizer {
  const root: Trie = { next: new Map() };
  vocabulary.forEach(([piece], id) => {
    if (id >= reserved) insert(root, piece, id);
  });
  const score = (id: number): number => (vocabulary[id] as readonly [string, number])[1];
  const width = (id: number): number => (vocabulary[id] as readonly [string, number])[0].length;

  return {
    encode(text) {
      const symbols = [...normalise(text)];
      const n = symbols.length;
      const best = new Float64Array(n + 1);
      const last = new Uint32Array(n + 1).fill(unknown);
      for (let start = 0; start < n; start++) {
        let found = false;
        let node = root.next.get(symbols[start] as string);
        for (let end = start + 1; node && end <= n; end++) {
          if (node.id !== undefined) {
            found = true;
            relax(end, (best[start] as number) + score(node.id), node.id);
          }
          node = end < n ? node.next.get(symbols[end] as string) : undefined;
        }
        if (!found) relax(start + 1, best[start] as number, unknown);
      }
      return backtrack(last, width);

      function relax(end: number, total: number, id: number): void {
        if (best[end] !== 0 && total < (best[end] as number)) return;
        best[end] = total;
        last[end] = id;
      }
    },
  };
}

function normalise(text: string): string {
  const folded = text.normalize("NFKC");
  return folded && separator + folded.replaceAll(" ", separator);
}

function insert(root: Trie, piece: string, id: number): void {
  let node = root;
  for (const symbol of piece) {
    let next = node.next.get(symbol);
    if (!next) node.next.set(symbol, (next = { next: new Map() }));
    node = next;
  }
  node.id = id;
}

/** Ids from the last piece of every end; a run of unknown characters becomes one id. */
function backtrack(last: Uint32Array, width: (id: number) => number): number[] {
  const ids: number[] = [];
  for (let end = last.length - 1; end > 0; ) {
    const id = last[end] as number;
    if (id !== unknown || ids.at(-1) !== unknown) ids.push(id);
    end -= width(id);
  }
  return ids.reverse();
}
