// openai-node with a key that has a limit or a budget: requests one after the other, until one was refused.

import OpenAI from "openai";
import { apiKey, baseURL, counted, HELLO, report } from "./report.mjs";

/** Answer or error of a request, how many were sent for it, and what the refused ones advised to wait. */
async function ask() {
  const fetch = counted();
  const advised = [];
  const noting = async (...request) => {
    const response = await fetch(...request);
    const wait = response.headers.get("retry-after-ms");
    if (wait !== null) advised.push(Number(wait));
    return response;
  };
  const client = new OpenAI({ baseURL, apiKey, fetch: noting });
  const started = performance.now();
  try {
    const answer = await client.chat.completions.create({ model: "paid", messages: HELLO });
    const timing = advised.length ? { advised, ms: performance.now() - started } : {};
    return { answered: answer.choices[0].message.content, requests: fetch.requests, ...timing };
  } catch (error) {
    return { class: error.constructor.name, code: error.code, requests: fetch.requests };
  }
}

/** The first request that had to wait. */
async function waited() {
  for (let tries = 0; tries < 20; tries += 1) {
    const result = await ask();
    if (result.advised || result.class) return result;
  }
}

const asked = await ask();
await report({ asked: async () => asked, waited });
