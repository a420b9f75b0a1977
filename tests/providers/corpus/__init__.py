"""The corpus of wire formats: 14 cases for each, in `tests/providers/fixtures/<api>/<case>.json`, whole and streamed.

case.py     `Case`: a fixture, and the names of all cases
format.py   `Format`: what the checks must know of a wire format; `sse`: streams as server-sent events
replay.py   `Replays`: gateways whose upstreams answer with fixtures
<api>.py    the `FORMAT` of a wire format, by the vendor's own SDK

`tests/providers/test_corpus.py` has the checks. A wire format joins with its fixtures, a module `<api>.py` and a line in `FORMATS`.

A fixture is JSON. Its texts are ours, its shapes those of the vendor's documentation:

    request      the client's request, its `model` the name at the vendor
    sent         the body of the vendor's request for it, not streamed
    status       status of the vendor's whole answer; 200 if left out
    headers      headers of the vendor's whole answer; none if left out
    answer       the body of the vendor's whole answer
    completion   the client's whole answer, without `created`; without `id` if that is the gateway's. OpenAI's SDK makes the same of streams
    streamed     members of the stream's message that differ from those of the whole answer; none if left out
    error        the client's error, in place of `completion`: `status`, `headers`, and `members` of the error object
    events       the vendor's stream, event by event
    text         the text before the error of a stream that fails
    event_error  the error object of a stream that fails
"""

from typing import Final

from tests.providers.corpus import anthropic, azure, bedrock, gemini, openai
from tests.providers.corpus.format import Format

FORMATS: Final[dict[str, Format]] = {one.api: one for one in (openai.FORMAT, azure.FORMAT, anthropic.FORMAT, gemini.FORMAT, bedrock.FORMAT)}
"""The wire formats by their `api`."""
