// What both clients' scripts share: scenarios run side by side, and their results go to pytest as one line of JSON.

export const baseURL = process.env.BASE_URL;
export const apiKey = process.env.API_KEY;
/** A key that may have one request at a time. */
export const singleKey = "sk-single-0123456789";
export const MODEL = "gpt-3.5-turbo";
export const HELLO = [{ role: "user", content: "Hello to all of you" }];

/** Returns a `fetch` that counts the requests, retries too. */
export function counted() {
  const counting = async (...request) => {
    counting.requests += 1;
    return fetch(...request);
  };
  counting.requests = 0;
  return counting;
}

/** Runs every scenario and prints its result, or `{failed: stack}`, by its name. */
export async function report(scenarios) {
  const outcome = async ([name, scenario]) => {
    try {
      return [name, await scenario()];
    } catch (error) {
      return [name, { failed: error?.stack ?? String(error) }];
    }
  };
  const results = await Promise.all(Object.entries(scenarios).map(outcome));
  console.log(JSON.stringify(Object.fromEntries(results)));
}
