/** Counts what is created on a device until `restore` is called. */
export function countCreated(device: GPUDevice): { readonly created: Map<string, number>; restore(): void } {
  const created = new Map<string, number>();
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(device)).filter((n) => n.startsWith("create"));
  if (names.length < 5) throw new Error("the device's methods are not where they were");
  const own = device as unknown as Record<string, unknown>;
  for (const name of names) {
    const method = (own[name] as (...args: unknown[]) => unknown).bind(device);
    own[name] = (...args: unknown[]) => {
      created.set(name, (created.get(name) ?? 0) + 1);
      return method(...args);
    };
  }
  return {
    created,
    restore: () => {
      for (const name of names) delete own[name];
    },
  };
}
