// What a JavaScript program with the official client does. Prints one JSON object: check -> "ok" or what went wrong.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const { BASE_URL, API_KEY, MODEL: model, CLIENT_FOLDER } = process.env;
const { default: OpenAI, AuthenticationError, BadRequestError, NotFoundError } = createRequire(CLIENT_FOLDER + '/')('openai');
const settings = { baseURL: BASE_URL + '/v1', maxRetries: 0, timeout: 60_000 };
const client = new OpenAI({ apiKey: API_KEY, ...settings });
const messages = [{ role: 'user', content: 'What is Fairlead?' }];
const schema = {
  type: 'object',
  properties: { answer: { type: 'string', maxLength: 20 }, sure: { type: 'boolean' } },
  required: ['answer', 'sure'],
  additionalProperties: false,
};

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');
const chat = (fields, by = client) => by.chat.completions.create({ model, messages, ...fields });

async function raised(call, kind, status, code) {
  const error = await call().then(() => assert.fail('nothing was raised'), (error) => error);
  assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
  assert.equal(error.status, status);
  if (code) assert.equal(error.code, code);
}

const checks = {
  async models() {
    const names = [];
    for await (const found of client.models.list()) names.push(found.id);
    assert.ok(names.includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
  },
  async chat() {
    const answer = await chat({ max_tokens: 24, temperature: 0 });
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer.usage.completion_tokens > 0 && answer.usage.completion_tokens <= 24);
    assert.ok(answer._request_id);
  },
  async stream_with_usage() {
    const whole = await chat({ max_tokens: 24, temperature: 0 });
    const asked = { max_tokens: 24, temperature: 0, stream: true, stream_options: { include_usage: true } };
    const chunks = await collect(await chat(asked));
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.deepEqual(chunks.at(-1).usage, whole.usage);
    assert.equal(text(chunks), whole.choices[0].message.content);
  },
  async stream_without_usage() {
    const chunks = await collect(await chat({ max_tokens: 8, stream: true }));
    assert.ok(text(chunks));
    assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  },
  async completions() {
    const asked = { model, prompt: 'Fairlead is', max_tokens: 8, temperature: 0 };
    const answer = await client.completions.create(asked);
    assert.ok(answer.choices[0].text);
    const chunks = await collect(await client.completions.create({ ...asked, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(''), answer.choices[0].text);
  },
  async structured_output() {
    const json_schema = { name: 'answer', strict: true, schema };
    const answer = await chat({ max_tokens: 120, response_format: { type: 'json_schema', json_schema } });
    const told = JSON.parse(answer.choices[0].message.content);
    assert.deepEqual(Object.keys(told).sort(), ['answer', 'sure']);
    assert.equal(typeof told.sure, 'boolean');
  },
  async wrong_key() {
    const other = new OpenAI({ apiKey: 'sk-fl-000000000000-wrong', ...settings });
    await raised(() => chat({}, other), AuthenticationError, 401, 'invalid_api_key');
  },
  async unknown_model() {
    await raised(() => chat({ model: 'no-such-model' }), NotFoundError, 404, 'model_not_found');
  },
  async too_long_prompt() {
    const long = [{ role: 'user', content: 'sum '.repeat(20_000) }];
    await raised(() => chat({ messages: long }), BadRequestError, 400, 'context_length_exceeded');
  },
  async a_stream_left_early() {
    const stream = await chat({ max_tokens: 200, stream: true });
    for await (const chunk of stream) if (chunk) break;
    assert.ok((await chat({ max_tokens: 2 })).usage);
  },
};

const verdicts = {};
for (const [name, check] of Object.entries(checks)) {
  verdicts[name] = await check().then(() => 'ok', (error) => `${error.name}: ${error.message}`.slice(0, 500));
}
console.log(JSON.stringify(verdicts));
