// Runs the script of an example's page without a browser: `node page.mjs URL KEY` prints what the page shows as the answer.
const [url, key] = process.argv.slice(2);
const page = await (await fetch(url)).text();
const elements = {
  ask: { elements: { key: { value: key }, question: { value: "one two three" } } },
  answer: { textContent: "" },
};
globalThis.document = { getElementById: (id) => elements[id] };
const network = globalThis.fetch;
globalThis.fetch = (path, options) => network(new URL(path, url), options);

const [, script] = page.match(/<script>(.*)<\/script>/s);
new Function(script)();
await elements.ask.onsubmit({ preventDefault() {} });
console.log(elements.answer.textContent);
