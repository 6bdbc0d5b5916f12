// The official openai client for Node against a running gateway (OPENAI_BASE_URL).
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0, timeout: 120_000 });
const model = "llama-3.3-70b-instruct";
const messages = [{ role: "user", content: "Kva er ein fjord?" }];
const colour = {
  type: "object",
  properties: { colour: { type: "string", enum: ["blå"] } },
  required: ["colour"],
  additionalProperties: false,
};
const tool = { type: "function", function: { name: "paint", parameters: colour } };

test("models", async () => {
  const ids = (await client.models.list()).data.map((m) => m.id);
  assert.ok(ids.includes("auto") && ids.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
  await assert.rejects(client.models.retrieve("nope"), (e) => e.status === 404 && e.code === "model_not_found");
});

test("chat, whole and streamed, and auto", async () => {
  const settings = { messages, max_tokens: 16, temperature: 0 };
  const whole = await client.chat.completions.create({ model, ...settings });
  assert.ok(whole.usage.cost > 0);
  let text = "";
  let usage;
  const options = { stream: true, stream_options: { include_usage: true } };
  for await (const chunk of await client.chat.completions.create({ model, ...settings, ...options })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.ok(usage.cost > 0);
  const { response } = await client.chat.completions.create({ model: "auto", ...settings }).withResponse();
  assert.ok(response.headers.get("x-parlance-model"));
  assert.ok(response.headers.get("x-parlance-reason"));
});

test("tools, response_format, logprobs and sampling extensions", async () => {
  const named = { type: "function", function: { name: "paint" } };
  const called = await client.chat.completions.create({ model, messages, tools: [tool], tool_choice: named, max_tokens: 60 });
  assert.deepEqual(JSON.parse(called.choices[0].message.tool_calls[0].function.arguments), { colour: "blå" });
  const format = { type: "json_schema", json_schema: { name: "colour", schema: colour, strict: true } };
  const formed = await client.chat.completions.create({ model, messages, response_format: format, max_tokens: 60 });
  assert.deepEqual(JSON.parse(formed.choices[0].message.content), { colour: "blå" });
  const sampled = { logprobs: true, top_logprobs: 2, min_p: 0.05, top_k: 5, repetition_penalty: 1.1, seed: 1 };
  const probed = await client.chat.completions.create({ model, messages, max_tokens: 3, ...sampled });
  assert.equal(probed.choices[0].logprobs.content[0].top_logprobs.length, 2);
});

test("completions and responses", async () => {
  const done = await client.completions.create({ model, prompt: "Fjorden er", max_tokens: 4 });
  assert.ok(done.usage.cost > 0);
  const answered = await client.responses.create({ model, input: "Kva er ein fjord?", max_output_tokens: 8 });
  assert.ok(answered.output_text.length > 0);
  let last;
  for await (const event of await client.responses.create({ model, input: "Hei", max_output_tokens: 8, stream: true })) {
    last = event;
  }
  assert.match(last.type, /^response\.(completed|incomplete)$/);
});

test("errors name the field", async () => {
  const wrong = client.chat.completions.create({ model, messages, n: 0 });
  await assert.rejects(wrong, (e) => e.status === 400 && e.param === "n" && e.type === "invalid_request_error");
});
