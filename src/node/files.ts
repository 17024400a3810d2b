import { open, rename, rm } from "node:fs/promises";
import { fail } from "../base/diagnostic.ts";

/** An open file whose bytes can be read in ranges, as `loadSafetensors` takes it. */
export interface FileSource extends AsyncDisposable {
  /** In bytes, when it was opened. */
  readonly size: number;
  /** `length` bytes from `offset` on; fewer where the file ends before. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

const reason = (e: unknown): string => (e instanceof Error ? e.message : String(e));

/** Opens a file for reading. Close it, or declare it with `await using`. @throws SinterError `file-error` */
export async function openFile(path: string): Promise<FileSource> {
  try {
    const file = await open(path, "r");
    const { size } = await file.stat();
    return {
      size,
      async read(offset, length) {
        const bytes = new Uint8Array(length);
        let got = 0;
        // One read gives at most 2 GiB.
        for (let n = -1; got < length && n !== 0; got += n) {
          n = (await file.read(bytes, got, Math.min(length - got, 2 ** 30), offset + got)).bytesRead;
        }
        return got === length ? bytes : bytes.slice(0, got);
      },
      close: () => file.close(),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (e) {
    return fail("file-error", `${path} cannot be read: ${reason(e)}`, { hint: "check the path" });
  }
}

/**
 * Writes a file from pieces, such as those of `writeSafetensors`. It is written beside its place and moved there when it is
 * complete, so that a save that fails or is interrupted leaves the former file as it was.
 *
 * @throws SinterError `file-error`; errors of the pieces as they are
 */
export async function saveFile(path: string, pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const beside = `${path}.${process.pid}.part`;
  const guard = <T>(work: Promise<T>): Promise<T> =>
    work.catch((e: unknown) =>
      fail("file-error", `${path} cannot be written: ${reason(e)}`, { hint: "check the path and the space left" }),
    );
  const file = await guard(open(beside, "w"));
  try {
    try {
      for await (const piece of pieces) await guard(file.writeFile(piece));
      await guard(file.sync());
    } finally {
      await file.close();
    }
    await guard(rename(beside, path));
  } catch (e) {
    await rm(beside, { force: true });
    throw e;
  }
}
