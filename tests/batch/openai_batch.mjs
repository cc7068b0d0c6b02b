// The batch example of OpenAI's documentation with the official client for Node: the file is streamed from the disk.
import { createRequire } from "node:module";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const require = createRequire(path.join(process.env.CLIENT_FOLDER, "package.json"));
const OpenAI = require("openai").default;
const client = new OpenAI({ baseURL: process.env.BASE_URL + "/v1", apiKey: process.env.API_KEY });

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "batch-")), "batchinput.jsonl");
const rows = Array.from({ length: 20 }, (_, number) => ({
  custom_id: `request-${number}`,
  method: "POST",
  url: "/v1/chat/completions",
  body: { model: process.env.MODEL, messages: [{ role: "user", content: `question ${number}` }], max_tokens: 8 },
}));
fs.writeFileSync(file, rows.map((row) => JSON.stringify(row) + "\n").join(""));
const uploaded = await client.files.create({ file: fs.createReadStream(file), purpose: "batch" });
let batch = await client.batches.create({
  input_file_id: uploaded.id,
  endpoint: "/v1/chat/completions",
  completion_window: "24h",
});
while (!["completed", "failed", "expired", "cancelled"].includes(batch.status)) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  batch = await client.batches.retrieve(batch.id);
}
const text = await (await client.files.content(batch.output_file_id)).text();
const ids = text.trim().split("\n").map((line) => JSON.parse(line).custom_id).sort();
console.log(JSON.stringify({ version: "node", status: batch.status, ids }));
