// Runs the script of an example's page without a browser, and prints what a visitor sees at the end.
// `node page.mjs URL KEY` asks the app at URL. `node page.mjs PAGE SCENARIO` asks a server of its own, as the scenario has it.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const network = globalThis.fetch;

/** Starts the page's script, with requests to the server at `url`, and returns the elements that it works on. */
function open(html, url, key = "") {
  const elements = {
    ask: { elements: { key: { value: key }, question: { value: "one two three" } } },
    stop: { disabled: true },
    answer: element(),
    note: element(),
  };
  globalThis.document = { getElementById: (id) => elements[id] };
  globalThis.fetch = (path, options) => network(new URL(path, url), options);
  new Function(html.match(/<script>(.*)<\/script>/s)[1])();
  return { ...elements, submit: () => elements.ask.onsubmit({ preventDefault() {} }) };
}

/** An element that tells when it shows a text. */
function element() {
  let text = "";
  const waiting = [];
  return {
    get textContent() { return text; },
    set textContent(value) {
      text = value;
      for (const { expected, resolve } of waiting) if (expected === value) resolve();
    },
    shows: (expected) => new Promise((resolve) => waiting.push({ expected, resolve })),
  };
}

function seen({ answer, note, stop }) {
  return { answer: answer.textContent, note: note.textContent, stoppable: !stop.disabled };
}

const event = (text) => `data: ${JSON.stringify({ choices: [{ delta: { content: text } }] })}\n\n`;
const questionIn = async (request) => JSON.parse(Buffer.concat(await request.toArray())).messages.at(-1).content;

/** A server that streams the question, and does not end of itself. */
async function endless(request, response) {
  response.writeHead(200, { "content-type": "text/event-stream" }).write(event(await questionIn(request)));
}

const SCENARIOS = {
  // Stop, in the middle of an answer.
  stop: [endless, async (page, server) => {
    const left = once(server, "left");
    const asked = page.submit();
    await page.answer.shows("one two three");
    page.stop.onclick();
    await Promise.all([asked, left]);
  }],
  // Stop, while there is more to show that has arrived already.
  late: [(_, response) => response.write(event("one") + event(" two")), async (page) => {
    const asked = page.submit();
    await page.answer.shows("one");
    page.stop.onclick();
    await asked;
  }],
  // A second question, in the middle of the answer to the first.
  again: [endless, async (page, server) => {
    const left = once(server, "left");
    const first = page.submit();
    await page.answer.shows("one two three");
    page.ask.elements.question.value = "four five";
    page.submit();
    await page.answer.shows("four five");
    await Promise.all([first, left]);
  }],
  // A second question, before there is an answer to the first.
  "at once": [endless, async (page) => {
    const first = page.submit();
    page.ask.elements.question.value = "four five";
    page.submit();
    await Promise.all([first, page.answer.shows("four five")]);
  }],
  // No server.
  down: [null, (page) => page.submit()],
  // An answer that ends without its last event.
  "cut off": [(_, response) => response.end(event("one two")), (page) => page.submit()],
  // A connection that breaks.
  broken: [(_, response) => response.write(event("one two"), () => response.destroy()), (page) => page.submit()],
  // An error within the stream.
  failed: [(_, response) => response.end(`${event("one two")}data: {"error": {"message": "The model could not answer."}}\n\n`), (page) => page.submit()],
  // A proxy that does not reach the app.
  proxy: [(_, response) => response.writeHead(502).end("<h1>Bad Gateway</h1>"), (page) => page.submit()],
};

async function play(html, [answer, act]) {
  const server = createServer((request, response) => {
    response.on("close", () => server.emit("left"));
    answer(request, response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${server.address().port}`;
  if (!answer) await new Promise((closed) => server.close(closed));
  const page = open(html, url);
  await act(page, server);
  return seen(page);
}

async function ask(url, key) {
  const page = open(await (await network(url)).text(), url, key);
  await page.submit();
  return seen(page);
}

const [where, what] = process.argv.slice(2);
const result = where.startsWith("http:") ? await ask(where, what) : await play(readFileSync(where, "utf-8"), SCENARIOS[what]);
// What is under way need not end.
process.stdout.write(JSON.stringify(result), () => process.exit());
