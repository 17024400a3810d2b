// Bundles the example page and serves it: node scripts/page.mjs [PORT]
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { root, sinterFromSource } from "./bundle.mjs";

const folder = join(root, "examples", "page");
const types = { html: "text/html", css: "text/css", js: "text/javascript" };

/** The page's files by URL. */
export async function pageFiles() {
  const { outputFiles } = await build({
    entryPoints: [join(folder, "main.ts")],
    bundle: true,
    write: false,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "chrome120",
    plugins: [sinterFromSource("browser")],
  });
  return {
    "/": { type: types.html, text: readFileSync(join(folder, "index.html"), "utf8") },
    "/style.css": { type: types.css, text: readFileSync(join(folder, "style.css"), "utf8") },
    "/main.js": { type: types.js, text: outputFiles[0].text },
  };
}

/** Serves the page on this machine; resolves with the server once it listens. 0 is any free port. */
export async function servePage(port) {
  const files = await pageFiles();
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    const file = Object.hasOwn(files, path) ? files[path] : undefined;
    response.statusCode = file ? 200 : 404;
    response.setHeader("content-type", file?.type ?? "text/plain");
    response.setHeader("content-security-policy", "default-src 'self'; img-src data:");
    response.end(file?.text ?? "there is no such file");
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await servePage(Number(process.argv[2] ?? 8080));
  console.log(`http://127.0.0.1:${server.address().port}/`);
}
