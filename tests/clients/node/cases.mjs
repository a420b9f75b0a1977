// openai-node reads the answers of tests/upstreams/cases: whole, chunk by chunk, and with the helper `.stream()`.

import OpenAI from "openai";
import { apiKey, baseURL, report } from "./report.mjs";

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });

/** Puts chunks together in the plainest way. */
function joined(chunks) {
  const calls = [];
  let [text, reason, usage] = ["", null, null];
  for (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      text += choice.delta.content ?? "";
      reason = choice.finish_reason ?? reason;
      for (const piece of choice.delta.tool_calls ?? []) {
        const call = (calls[piece.index] ??= { name: "", arguments: "" });
        call.name += piece.function?.name ?? "";
        call.arguments += piece.function?.arguments ?? "";
      }
    }
  }
  return { text, reason, calls, usage, whole: JSON.stringify(chunks) };
}

function said(completion, whole) {
  const [choice] = completion.choices;
  const calls = (choice.message.tool_calls ?? []).map((call) => ({ name: call.function.name, arguments: call.function.arguments }));
  return { text: choice.message.content ?? "", reason: choice.finish_reason, calls, usage: completion.usage, whole: JSON.stringify(whole) };
}

async function read(params, helped) {
  try {
    if (!params.stream) {
      const completion = await client.chat.completions.create(params);
      return said(completion, completion);
    }
    const chunks = [];
    if (!helped) {
      for await (const chunk of await client.chat.completions.create(params)) chunks.push(chunk);
      return joined(chunks);
    }
    const stream = client.chat.completions.stream(params);
    for await (const chunk of stream) chunks.push(chunk);
    return said(await stream.finalChatCompletion(), chunks);
  } catch (error) {
    return { message: error.message, status: error.status ?? null, code: error.code ?? null };
  }
}

const scenarios = {};
for (const params of JSON.parse(process.env.CASES)) {
  const id = `${params.model} ${params.stream ? "stream" : "json"}`;
  scenarios[id] = () => read(params, false);
  if (params.stream) scenarios[`${id} helped`] = () => read(params, true);
}
await report(scenarios);
