// The Vercel AI SDK with its provider for OpenAI-compatible servers, against a real server.

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { apiKey, baseURL, counted, HELLO, MODEL, report, singleKey } from "./report.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const options = { name: "ours", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true };
const provider = createOpenAICompatible(options);
const model = provider(MODEL);
const tools = {
  get_weather: tool({ inputSchema: z.object({ text: z.string() }), execute: async ({ text }) => `21 degrees in ${text}` }),
};
const paris = { model: provider("gpt-tools"), prompt: "Paris", tools, stopWhen: stepCountIs(3) };

const counts = ({ inputTokens, outputTokens, totalTokens }) => ({ inputTokens, outputTokens, totalTokens });

/** What the error of a request looks like, and how many requests were sent for it. */
async function refused(name, overrides = {}) {
  const fetch = counted();
  try {
    await generateText({ model: createOpenAICompatible({ ...options, fetch, ...overrides })(name), messages: HELLO });
  } catch (error) {
    const { statusCode, data, message } = error.lastError ?? error;
    return { status: statusCode, error: data?.error, message, requests: fetch.requests };
  }
}

/** What a stream that fails gives: the text before, and the error among its parts. */
async function failed(name) {
  const seen = { text: "", errors: [] };
  for await (const part of streamText({ model: provider(name), messages: HELLO, onError() {} }).fullStream) {
    if (part.type === "text-delta") seen.text += part.text;
    if (part.type === "error") seen.errors.push(part.error?.message ?? part.error);
  }
  return seen;
}

await report({
  async generateText() {
    const { text, finishReason, usage } = await generateText({ model, messages: HELLO });
    return { text, finishReason, usage: counts(usage) };
  },
  async keepAlives() {
    const result = streamText({ model: provider("quiet"), messages: HELLO });
    return { text: await result.text, finishReason: await result.finishReason, usage: counts(await result.usage) };
  },
  async streamText() {
    const result = streamText({ model, messages: HELLO });
    const pieces = [];
    for await (const piece of result.textStream) pieces.push(piece);
    return { text: pieces.join(""), pieces: pieces.length, finishReason: await result.finishReason, usage: counts(await result.usage) };
  },
  async structured() {
    const Weather = z.object({ city: z.string(), degrees: z.int(), windy: z.boolean() });
    const { output } = await generateText({ model, messages: HELLO, output: Output.object({ schema: Weather }) });
    return { valid: Weather.safeParse(output).success };
  },
  async tools() {
    const { text, steps } = await generateText(paris);
    return { text, steps: steps.map((step) => step.finishReason) };
  },
  async streamedTools() {
    const result = streamText(paris);
    return { text: await result.text, steps: (await result.steps).map((step) => step.finishReason) };
  },
  async left() {
    const single = createOpenAICompatible({ ...options, apiKey: singleKey });
    const leaving = new AbortController();
    const { fullStream } = streamText({ model: single("stall-2"), messages: HELLO, abortSignal: leaving.signal });
    for await (const part of fullStream) if (part.type === "text-delta") leaving.abort();
    // The stream that was left would hold the only place for ever.
    return (await generateText({ model: single(MODEL), messages: HELLO, maxRetries: 20 })).text;
  },
  wrongKey: () => refused(MODEL, { apiKey: "sk-wrong-0123456789" }),
  unknownModel: () => refused("gpt-9"),
  rateLimit: () => refused("limited"),
  errorEvent: () => failed("errorevent"),
  truncated: () => failed("trunc"),
});
