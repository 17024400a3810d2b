import type { Frame } from "./kernel.ts";

/** How all invocations of a workgroup come to one number. */
export interface Meeting {
  readonly threads: number;
  /** First over each subgroup, then over these. */
  readonly subgroups: boolean;
  readonly declarations: readonly string[];
}

export function meetings({ capabilities }: Pick<Frame, "capabilities">, threads: number): Meeting {
  const { features, subgroupMaxSize } = capabilities;
  return {
    threads,
    subgroups: features.subgroups && threads % subgroupMaxSize === 0,
    declarations: [`var<workgroup> meet: array<f32, ${threads}>;`],
  };
}

interface Way {
  readonly subgroup: string;
  both(a: string, b: string): string;
}

const ways: Readonly<Record<"max" | "sum", Way>> = {
  max: { subgroup: "subgroupMax", both: (a, b) => `max(${a}, ${b})` },
  sum: { subgroup: "subgroupAdd", both: (a, b) => `${a} + ${b}` },
};

/** Declares `name` as the greatest of the invocations' values. Barriers are around it on both sides. */
export const greatest = (frame: Frame, m: Meeting, name: string, value: string): void =>
  meet(frame, m, name, value, ways.max);

/** Declares `name` as the sum of the invocations' values, which is the same in all. */
export const addAll = (frame: Frame, m: Meeting, name: string, value: string): void =>
  meet(frame, m, name, value, ways.sum);

function meet({ e }: Frame, { threads, subgroups }: Meeting, name: string, value: string, way: Way): void {
  if (subgroups) {
    const part = e.fresh("part");
    e.line(`let ${part} = ${way.subgroup}(${value});`);
    e.line(`if (sg_lane == 0u) { meet[lid / sg_size] = ${part}; }`);
    e.line("workgroupBarrier();");
    const all = e.fresh("all");
    e.line(`var ${all} = meet[0];`);
    const k = e.fresh("k");
    const both = way.both(all, `meet[${k}]`);
    e.line(`for (var ${k} = 1u; ${k} < ${threads}u / sg_size; ${k}++) { ${all} = ${both}; }`);
    e.line("workgroupBarrier();");
    e.line(`let ${name} = ${all};`);
    return;
  }
  e.line(`meet[lid] = ${value};`);
  e.line("workgroupBarrier();");
  for (let left = threads; left > 1; ) {
    const by = left % 4 === 0 ? 4 : 2;
    left /= by;
    const terms = Array.from({ length: by }, (_, i) => (i === 0 ? "meet[lid]" : `meet[lid + ${i * left}u]`));
    e.line(`if (lid < ${left}u) { meet[lid] = ${terms.reduce((a, b) => way.both(a, b))}; }`);
    e.line("workgroupBarrier();");
  }
  e.line(`let ${name} = meet[0];`);
  e.line("workgroupBarrier();");
}
