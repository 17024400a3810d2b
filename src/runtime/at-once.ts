/** Handles the items in order, `size` at a time; ends with the first error. */
export async function atOnce<T>(items: readonly T[], size: number, handle: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await handle(item);
      } catch (e) {
        queue.length = 0;
        throw e;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(size, queue.length) }, worker));
}
