import type { WgslDeclaration } from "../base/wgsl-text.ts";

const scalarBytes: Readonly<Record<string, number>> = { f32: 4, f16: 2, i32: 4, u32: 4 };

/** Bytes of a number, a vector or an atomic in an array; infinite for anything else. */
export function stride(type: string): number {
  const [, n, inner] = /^(?:vec([234])|atomic)<(\w+)>$/.exec(type) ?? [];
  const lanes = n === undefined ? 1 : n === "3" ? 4 : Number(n);
  return lanes * (scalarBytes[inner ?? type] ?? Number.POSITIVE_INFINITY);
}

interface Shared {
  readonly name: string;
  readonly type: string;
  /** Elements; undefined for what is no array. */
  count: number | undefined;
}

/**
 * Variables in workgroup memory that kernels share of which a workgroup runs one: the largest array of a type that one of them
 * has lies where that of another does.
 */
export class WorkgroupMemory {
  private readonly shared = new Map<string, Shared>();

  /** The names that the variables of one more kernel have here. */
  place(list: readonly WgslDeclaration[]): ReadonlyMap<string, string> {
    const found = list.map((d) => {
      const [, type, count] = /^array<\s*(.+?)\s*,\s*(\d+)u?\s*>$/.exec(d.type) ?? [];
      return { name: d.name, type: type ?? d.type, count: count ? Number(count) : undefined };
    });
    found.sort((a, b) => (b.count ?? 0) - (a.count ?? 0));
    const taken = new Map<string, number>();
    return new Map(
      found.map(({ name, type, count }) => {
        const kind = `${type} ${count === undefined}`;
        const nth = taken.get(kind) ?? 0;
        taken.set(kind, nth + 1);
        const known = this.shared.get(`${kind} ${nth}`) ?? { name: `local_${this.shared.size}`, type, count };
        if (count !== undefined) known.count = Math.max(known.count ?? 0, count);
        this.shared.set(`${kind} ${nth}`, known);
        return [name, known.name];
      }),
    );
  }

  /** Infinite where a type is unknown. */
  get bytes(): number {
    return [...this.shared.values()].reduce((n, { type, count }) => n + (count ?? 1) * stride(type), 0);
  }

  declarations(): string[] {
    return [...this.shared.values()].map(
      ({ name, type, count }) => `var<workgroup> ${name}: ${count === undefined ? type : `array<${type}, ${count}>`};`,
    );
  }
}
