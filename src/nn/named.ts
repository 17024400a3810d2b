import { fail } from "../base/diagnostic.ts";
import type { HostTensor } from "../frontend/host.ts";
import { readOptions, unknownName } from "../frontend/options.ts";
import type { TensorSpec } from "../frontend/spec.ts";
import { isSpec } from "../frontend/trace.ts";
import { type MapTree, mapTree } from "../frontend/tree.ts";
import { shapeText } from "../ir/dim.ts";
import { typeText } from "../ir/graph.ts";

/** Options of {@link fromNames}. */
export interface FromNamesOptions {
  /** What the names begin with and the tree's paths do not, such as `"params."`; nothing by default. */
  readonly prefix?: string;
  /** Tensors that the tree has no place for are passed over instead of refused. False by default. */
  readonly ignoreOthers?: boolean;
}

/**
 * A tree of tensors like a tree of specs, from tensors by name, as a file has them: the leaf at `a.0.b` is the tensor of that
 * name. A spec of f32 takes f16 tensors as well, whose values it holds exactly.
 *
 * @throws SinterError `missing-input`, `extra-input`, `wrong-size`, `wrong-dtype`
 */
export function fromNames<S>(
  specs: S,
  tensors: Readonly<Record<string, HostTensor>>,
  options?: FromNamesOptions,
): MapTree<S, TensorSpec, HostTensor> {
  const { prefix, ignoreOthers } = readOptions("fromNames", options, { prefix: "", ignoreOthers: false });
  const names = Object.keys(tensors);
  const others = new Set(names);
  const tree = mapTree(specs, isSpec, "in", (path, spec: TensorSpec) => {
    const name = prefix + path;
    if (!Object.hasOwn(tensors, name)) return unknownName("missing-input", "there is no tensor named", name, names);
    others.delete(name);
    return fitting(name, spec, tensors[name] as HostTensor);
  });
  if (others.size > 0 && !ignoreOthers) {
    fail(
      "extra-input",
      `there is no place for ${[...others]
        .slice(0, 8)
        .map((n) => JSON.stringify(n))
        .join(", ")}`,
      {
        cause: `${others.size} of ${names.length} names are no path of the specs`,
        hint: "give { ignoreOthers: true } to pass over them",
      },
    );
  }
  return tree as MapTree<S, TensorSpec, HostTensor>;
}

function fitting(name: string, spec: TensorSpec, { dtype, shape, data }: HostTensor): HostTensor {
  if (shape.length !== spec.shape.length || shape.some((d, i) => d !== spec.shape[i])) {
    fail("wrong-size", `${JSON.stringify(name)} has shape ${shapeText(shape)}, and ${typeText(spec)} is wanted`, {
      hint: "check the sizes of the model's configuration",
    });
  }
  const widened = spec.dtype === "f32" && dtype === "f16";
  if (dtype !== spec.dtype && !widened) {
    fail("wrong-dtype", `${JSON.stringify(name)} is ${dtype}, and ${typeText(spec)} is wanted`, {
      hint: `convert it: tensor(data, shape, ${JSON.stringify(spec.dtype)})`,
    });
  }
  return { dtype: spec.dtype, shape, data };
}
