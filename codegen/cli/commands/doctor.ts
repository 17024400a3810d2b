import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { loadConfig } from "../../config/load.ts";
import { type AdapterReport, adapterReports } from "../adapters.ts";
import { type CommandModule, type Context, exit, textOption } from "../context.ts";
import { diagnosticOf } from "../render.ts";
import type { Colors } from "../terminal.ts";
import { bytesText } from "../traffic.ts";
import { packageFolder, packageJson } from "../version.ts";

/** One thing that was looked at. */
interface Check {
  readonly name: string;
  readonly status: "ok" | "warning" | "error";
  readonly detail: string;
  readonly hint?: string;
}

/** Looks at versions, packages, the config and adapters. Fails only where `sinter build` would. */
export const run: CommandModule["run"] = async (context) => {
  const { terminal } = context;
  const checks = [nodeCheck(), ...packageChecks(), webgpuCheck(context.cwd), await configCheck(context)];
  terminal.progress("opening adapters");
  const adapters = checks.some((c) => c.name === "webgpu" && c.status === "ok") ? await adapterReports() : [];
  const opened = adapters.filter((a) => a.available);
  checks.push(adapterCheck(adapters, opened));
  const broken = checks.some((c) => c.status === "error");
  const versions = {
    sinter: packageJson().version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
  };
  if (terminal.json) terminal.out(JSON.stringify({ ok: !broken, ...versions, checks, adapters }, null, 2));
  else {
    const { outColors: c } = terminal;
    const title = `sinter ${versions.sinter}, Node ${versions.node}, ${versions.platform}`;
    terminal.out(
      [
        c.bold(title),
        "",
        ...checks.map((k) => checkText(k, c)),
        "",
        ...adapters.flatMap((a) => adapterText(a, c)),
      ].join("\n"),
    );
  }
  return broken ? exit.failed : exit.ok;
};

function nodeCheck(): Check {
  const needed = packageJson().engines.node.replace(/^\D+/, "");
  const parts = (v: string): number[] => v.split(".").map(Number);
  const [a, b] = [parts(process.versions.node), parts(needed)];
  const differing = b.findIndex((n, i) => a[i] !== n);
  const ok = differing < 0 || (a[differing] as number) > (b[differing] as number);
  const detail = `${process.versions.node}, ${needed} or newer is needed`;
  return {
    name: "node",
    detail,
    ...(ok ? { status: "ok" } : { status: "error", hint: `install Node ${needed} or newer` }),
  };
}

/** Packages that building needs: the package's own dependencies. */
function packageChecks(): Check[] {
  const require = createRequire(join(packageFolder(), "package.json"));
  const names = Object.keys(packageJson().dependencies ?? {});
  const missing = names.filter(
    (n) => !require.resolve.paths(n)?.some((folder) => versionAt(join(folder, n)) !== undefined),
  );
  if (missing.length === 0)
    return [{ name: "packages", status: "ok", detail: `all ${names.length} that building needs` }];
  return [
    {
      name: "packages",
      status: "error",
      detail: `${missing.join(", ")} missing`,
      hint: `npm install ${missing.join(" ")}`,
    },
  ];
}

/** Dawn, which is optional and so belongs to whoever uses Sinter. */
function webgpuCheck(cwd: string): Check {
  const folders = [cwd, packageFolder()].flatMap(
    (f) => createRequire(pathToFileURL(join(f, "x.js"))).resolve.paths("webgpu") ?? [],
  );
  const version = folders.map((f) => versionAt(join(f, "webgpu"))).find((v) => v !== undefined);
  return version === undefined
    ? {
        name: "webgpu",
        status: "warning",
        detail: "not installed: nothing runs in Node, building does",
        hint: "npm install webgpu",
      }
    : { name: "webgpu", status: "ok", detail: version };
}

function versionAt(folder: string): string | undefined {
  try {
    return (createRequire(import.meta.url)(join(folder, "package.json")) as { version: string }).version;
  } catch {
    return undefined;
  }
}

async function configCheck(context: Context): Promise<Check> {
  const name = "config";
  try {
    const { file } = await loadConfig(context.cwd, textOption(context, "config"));
    if (file !== undefined) return { name, status: "ok", detail: relative(context.cwd, file) };
    return { name, status: "ok", detail: "none: kernel files are looked for everywhere in this folder" };
  } catch (e) {
    const { message, hint } = diagnosticOf(e);
    return { name, status: "error", detail: message, ...(hint ? { hint } : {}) };
  }
}

function adapterCheck(all: readonly AdapterReport[], opened: readonly AdapterReport[]): Check {
  const name = "adapter";
  const [first] = opened;
  if (!first) {
    const hints = all.flatMap((a) => a.hint ?? []);
    return {
      name,
      status: "warning",
      detail: "none: programs do not run in Node here",
      hint: hints.length ? hints.join("; or ") : "npm install webgpu",
    };
  }
  const real = opened.find((a) => !a.software) ?? first;
  const kind = real.software ? "software: right, but slow" : "GPU";
  return { name, status: "ok", detail: `${real.name} (${kind})` };
}

function checkText({ name, status, detail, hint }: Check, c: Colors): string {
  const mark = { ok: c.green("ok     "), warning: c.yellow("warning"), error: c.red("error  ") }[status];
  return `${mark}  ${name.padEnd(8)}  ${detail}${hint ? `\n${" ".repeat(19)}${c.green("help")}: ${hint}` : ""}`;
}

function adapterText(a: AdapterReport, c: Colors): string[] {
  if (!a.available)
    return [
      `${c.bold(a.name)}: ${c.dim(`not available: ${a.reason}`)}`,
      ...(a.hint ? [`  ${c.green("help")}: ${a.hint}`] : []),
    ];
  const limits = a.limits ?? {};
  const row = (name: string, text: string): string => `  ${name.padEnd(10)}  ${text}`;
  return [
    `${c.bold(a.name)}: ${a.description}${a.software ? " (software)" : ""}`,
    row("features", a.features?.join(", ") || "none"),
    row("variants", a.variants?.join(", ") ?? ""),
    row("subgroups", a.subgroupSizes?.join(" to ") ?? ""),
    row(
      "limits",
      [
        `${bytesText(limits.maxBufferSize ?? 0)} a buffer`,
        `${bytesText(limits.maxStorageBufferBindingSize ?? 0)} a binding`,
        `${limits.maxStorageBuffersPerShaderStage} storage buffers`,
        `${bytesText(limits.maxComputeWorkgroupStorageSize ?? 0)} workgroup memory`,
        `${limits.maxComputeInvocationsPerWorkgroup} invocations`,
      ].join(", "),
    ),
  ];
}
