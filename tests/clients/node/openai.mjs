// openai-node against a real server.

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { apiKey, baseURL, counted, HELLO, MODEL, report, singleKey } from "./report.mjs";

const client = new OpenAI({ baseURL, apiKey });
const Weather = z.object({ city: z.string(), degrees: z.int(), windy: z.boolean() });
const TOOL = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: { text: { type: "string" } } } } };

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const text = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

/** What the error of a request looks like, and how many requests were sent for it. */
async function refused(params, options = {}) {
  const fetch = counted();
  const caller = new OpenAI({ baseURL, apiKey, fetch, ...options });
  let seen = "";
  try {
    const answer = await caller.chat.completions.create({ model: MODEL, messages: HELLO, ...params });
    if (params.stream) for await (const chunk of answer) seen += text([chunk]);
  } catch (error) {
    const { status, type, code, param, message } = error;
    const requestId = error.requestID?.slice(0, 4);
    return { class: error.constructor.name, status, type, code, param, message, requestId, seen, requests: fetch.requests };
  }
  return { answered: seen };
}

async function answerCall(messages, message) {
  const [call] = message.tool_calls;
  messages.push(message, { role: "tool", tool_call_id: call.id, content: "21 degrees" });
  return call.function.arguments;
}

async function toolsRoundTrip(ask) {
  const messages = [{ role: "user", content: "Paris" }];
  const first = await ask({ model: "gpt-tools", messages, tools: [TOOL] });
  const given = await answerCall(messages, first.choices[0].message);
  const final = await ask({ model: "gpt-tools", messages, tools: [TOOL] });
  return { finish: first.choices[0].finish_reason, arguments: given, final: final.choices[0].message.content };
}

await report({
  async chat() {
    const { data, response } = await client.chat.completions.create({ model: MODEL, messages: HELLO, n: 2 }).withResponse();
    const contents = data.choices.map((choice) => choice.message.content);
    return { contents, model: data.model, usage: data.usage, sameId: data._request_id === response.headers.get("x-request-id") };
  },
  async embeddings() {
    const ask = (params) => client.embeddings.create({ model: "text-embedding-3-small", input: ["Hello to", "all"], ...params });
    const [first, floats, base64] = [await ask({}), await ask({ encoding_format: "float" }), await ask({ encoding_format: "base64" })];
    const vectors = first.data.map((item) => item.embedding);
    const same = JSON.stringify(vectors) === JSON.stringify(floats.data.map((item) => item.embedding));
    return { vectors, same, encoded: typeof base64.data[0].embedding, model: first.model, usage: first.usage };
  },
  async keepAlives() {
    const chunks = await collect(await client.chat.completions.create({ model: "quiet", messages: HELLO, stream: true }));
    const count = chunks.filter((chunk) => Object.keys(chunk.choices[0].delta).length === 0 && !chunk.choices[0].finish_reason).length;
    const final = await client.chat.completions.stream({ model: "quiet", messages: HELLO }).finalChatCompletion();
    const { content } = final.choices[0].message;
    return { text: text(chunks), ten: count >= 10, content, finish: final.choices[0].finish_reason };
  },
  async stream() {
    const chunks = await collect(await client.chat.completions.create({ model: MODEL, messages: HELLO, stream: true }));
    const ids = new Set(chunks.map((chunk) => chunk.id)).size;
    return { text: text(chunks), role: chunks[0].choices[0].delta.role, finish: chunks.at(-1).choices[0].finish_reason, ids };
  },
  async usage() {
    const params = { model: MODEL, messages: HELLO, stream: true, stream_options: { include_usage: true } };
    const chunks = await collect(await client.chat.completions.create(params));
    const last = chunks.pop();
    return { last: last.usage, choices: last.choices, others: [...new Set(chunks.map((chunk) => chunk.usage))] };
  },
  async parse() {
    const response_format = zodResponseFormat(Weather, "weather");
    const completion = await client.chat.completions.parse({ model: MODEL, messages: HELLO, response_format });
    const { parsed, content } = completion.choices[0].message;
    return { valid: Weather.safeParse(parsed).success, same: JSON.stringify(parsed) === content };
  },
  async parsedToolCall() {
    const messages = [{ role: "user", content: '{"city": "Paris", "degrees": 21, "windy": true}' }];
    const tools = [zodFunction({ name: "weather", parameters: Weather })];
    const completion = await client.chat.completions.parse({ model: MODEL, messages, tools, tool_choice: "required" });
    return completion.choices[0].message.tool_calls[0].function.parsed_arguments;
  },
  async streamHelper() {
    const stream = client.chat.completions.stream({ model: MODEL, messages: HELLO, stream_options: { include_usage: true } });
    const deltas = [];
    stream.on("content", (delta) => deltas.push(delta));
    const completion = await stream.finalChatCompletion();
    return { text: deltas.join(""), content: completion.choices[0].message.content, total: completion.usage.total_tokens };
  },
  tools: () => toolsRoundTrip((params) => client.chat.completions.create(params)),
  streamedTools: () => toolsRoundTrip((params) => client.chat.completions.stream(params).finalChatCompletion()),
  async runTools() {
    const calls = [];
    const run = (args) => (calls.push(args), "21 degrees");
    const tool = { type: "function", function: { ...TOOL.function, parse: JSON.parse, function: run } };
    const runner = client.chat.completions.runTools({ model: "gpt-tools", messages: [{ role: "user", content: "Paris" }], tools: [tool] });
    return { final: await runner.finalContent(), calls };
  },
  async cached() {
    const params = { model: MODEL, messages: HELLO, seed: Date.now(), stream: true, stream_options: { include_usage: true } };
    const seen = [];
    for (let turn = 0; turn < 2; turn++) {
      const { data, response } = await client.chat.completions.create(params, { headers: { "Cache-Control": "max-age=60" } }).withResponse();
      seen.push({ cache: response.headers.get("x-cache"), chunks: await collect(data) });
    }
    const [live, replay] = seen;
    return { cache: [live.cache, replay.cache], text: text(replay.chunks), same: JSON.stringify(live.chunks) === JSON.stringify(replay.chunks) };
  },
  async models() {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    const { id, object, created, owned_by } = await client.models.retrieve(MODEL);
    return { listed: ids.includes(MODEL), card: { id, object, created, owned_by } };
  },
  async left() {
    const single = new OpenAI({ baseURL, apiKey: singleKey, maxRetries: 20 });
    for await (const chunk of await single.chat.completions.create({ model: "stall-2", messages: HELLO, stream: true })) if (chunk) break;
    // The stream that was left would hold the only place for ever.
    return (await single.chat.completions.create({ model: MODEL, messages: HELLO })).choices[0].message.content;
  },
  wrongValue: () => refused({ n: 0 }),
  wrongKey: () => refused({}, { apiKey: "sk-wrong-0123456789" }),
  unknownModel: () => refused({ model: "gpt-9" }),
  tooLarge: () => refused({ user: "x".repeat(100_000) }),
  rateLimit: () => refused({ model: "limited" }),
  upstreamFailure: () => refused({ model: "status-500", stream: true }),
  errorEvent: () => refused({ model: "errorevent", stream: true }),
  truncated: () => refused({ model: "trunc", stream: true }),
  cut: () => refused({ model: "cut", stream: true }),
});
