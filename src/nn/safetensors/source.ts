import { fail } from "../../base/diagnostic.ts";
import { describe } from "../../frontend/tensor.ts";
import { refuse } from "./refuse.ts";

/** Bytes that can be read in ranges, such as a file or a URL. */
export interface ByteSource {
  /** In bytes. */
  readonly size: number;
  /** `length` bytes from `offset` on, in memory that is handed over. */
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>;
}

/** Where a file's bytes come from. A stream is read once from its beginning; only what is asked for is read of the others. */
export type SafetensorsSource = ArrayBuffer | ArrayBufferView | Blob | ReadableStream<Uint8Array> | ByteSource;

/** Reads bytes one after the other. */
export interface ByteReader {
  /** The number of bytes in all, when it is known. */
  readonly size: number | undefined;
  /** The next bytes, in memory of the caller's own. @throws SinterError `bad-safetensors` when there are fewer */
  take(length: number): Promise<Uint8Array<ArrayBuffer>>;
  skip(length: number): Promise<void>;
  /** Whether every byte was taken or skipped. */
  ended(): Promise<boolean>;
  close(): Promise<void>;
}

const short = (wanted: number, got: number): never =>
  refuse(`it ends too early: ${wanted} bytes were to follow, and there are ${got}`);

/** @throws SinterError `bad-data` when the source is none */
export function readerOf(source: SafetensorsSource): ByteReader {
  if (source instanceof ReadableStream) return streamReader(source);
  return rangeReader(rangesOf(source));
}

function rangesOf(source: Exclude<SafetensorsSource, ReadableStream>): ByteSource {
  if (source instanceof ArrayBuffer) return rangesOf(new Uint8Array(source));
  if (ArrayBuffer.isView(source)) {
    const { buffer, byteOffset, byteLength } = source;
    return { size: byteLength, read: (offset, length) => new Uint8Array(buffer, byteOffset + offset, length).slice() };
  }
  if (source instanceof Blob) {
    const bytes = async (from: number, to: number): Promise<Uint8Array> =>
      new Uint8Array(await source.slice(from, to).arrayBuffer());
    return { size: source.size, read: (offset, length) => bytes(offset, offset + length) };
  }
  if (typeof source?.read === "function" && Number.isSafeInteger(source.size)) return source;
  return fail("bad-data", `loadSafetensors takes the bytes of a file, not ${describe(source)}`, {
    hint: "give an ArrayBuffer, a Blob, the body of a response, or { size, read(offset, length) }",
  });
}

function rangeReader(source: ByteSource): ByteReader {
  let at = 0;
  const left = (): number => source.size - at;
  return {
    size: source.size,
    async take(length) {
      if (length > left()) short(length, left());
      const bytes = await source.read(at, length);
      if (bytes.byteLength !== length) short(length, bytes.byteLength);
      at += length;
      return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
    },
    async skip(length) {
      if (length > left()) short(length, left());
      at += length;
    },
    ended: async () => left() === 0,
    close: async () => {},
  };
}

function streamReader(stream: ReadableStream<Uint8Array>): ByteReader {
  const reader = stream.getReader();
  let rest: Uint8Array = new Uint8Array(0);
  /** Passes the next bytes on in pieces; a header that promises too much costs no memory. */
  const pass = async (length: number, to: (piece: Uint8Array) => void): Promise<void> => {
    for (let missing = length; missing > 0; ) {
      if (rest.byteLength === 0) {
        const { done, value } = await reader.read();
        if (done) return short(length, length - missing);
        rest = value;
        continue;
      }
      const piece = rest.subarray(0, missing);
      rest = rest.subarray(piece.byteLength);
      missing -= piece.byteLength;
      to(piece);
    }
  };
  return {
    size: undefined,
    async take(length) {
      const pieces: Uint8Array[] = [];
      await pass(length, (piece) => pieces.push(piece));
      const out = new Uint8Array(length);
      let at = 0;
      for (const piece of pieces) {
        out.set(piece, at);
        at += piece.byteLength;
      }
      return out;
    },
    skip: (length) => pass(length, () => {}),
    async ended() {
      while (rest.byteLength === 0) {
        const { done, value } = await reader.read();
        if (done) return true;
        rest = value;
      }
      return false;
    },
    close: () => reader.cancel(),
  };
}
