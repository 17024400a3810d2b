#!/usr/bin/env node
// Places of errors are read from stacks, in the sources' lines: maps count for modules that are loaded after this.
process.setSourceMapsEnabled(true);

let ended = false;
function end(code: number): void {
  ended = true;
  process.exitCode = code;
  // A module that was imported may have left a timer or a socket behind.
  setTimeout(() => process.exit(), 500).unref();
}

// A reader that has seen enough, such as `head`, closes the pipe: no reason to complain.
process.stdout.on("error", (e: NodeJS.ErrnoException) => {
  if (e.code !== "EPIPE") throw e;
  end(0);
  process.exit();
});

process.on("exit", () => {
  if (ended) return;
  process.exitCode = 1;
  process.stderr.write("error[module-error]: a module that was imported waits for something that never comes\n");
});

const { main } = await import("./run.ts");
end(await main(process.argv.slice(2)));
