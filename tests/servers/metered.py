"""The scenario `metered`: an upstream that bills what it writes, whether or not anybody reads it."""

import asyncio
import json
import threading

from tests.support import upstream_answers as answers
from tests.support.upstream_exchange import RequestContext

TOKENS = 60
"""Tokens of each answer; a word has four characters, which are one token by our estimate."""
PACE = 100
"""Tokens a second, as a target is assumed to write that has completed no answer."""
WORD = "word"
VISIBLE = 5
"""Words of an answer that thinks before it writes."""


class Metered:
    """Answers by the text of the request: `plain`, `thinking`, `finished` or `talking`; `never` is answered by nobody."""

    def __init__(self) -> None:
        self.billed = 0
        """Tokens on the provider's bill."""
        self.nearly = threading.Semaphore(0)
        """Released once for each answer that is nine tenths done."""

    async def __call__(self, x: RequestContext) -> None:
        self.billed += TOKENS
        text = answers.last_text(x.body)
        usage = {"prompt_tokens": 1, "completion_tokens": TOKENS, "total_tokens": TOKENS + 1}
        if text == "talking":
            await self._talk(x)
        elif text == "finished":
            chunks = answers.chunks({**x.body, "messages": [{"role": "user", "content": " ".join([WORD] * VISIBLE)}]})
            await x.start()
            await x.pieces(map(answers.event, chunks[:-1]))
            self.nearly.release()
            await asyncio.sleep(0.3)
            await x.pieces([answers.event({**chunks[-1], "usage": usage}), answers.DONE])
            await x.end()
        else:
            await asyncio.sleep(0.9 * TOKENS / PACE)
            self.nearly.release()
            await x.released()
            await x.reply(json.dumps({**answers.completion(x.body), "usage": usage}).encode())

    async def _talk(self, x: RequestContext) -> None:
        """Write 400 words, one after another."""
        first, word, *_ = answers.chunks(x.body)
        await x.start()
        await x.piece(answers.event(first))
        word["choices"][0]["delta"]["content"] = WORD
        for _ in range(400):
            await x.piece(answers.event(word))
            await asyncio.sleep(1 / PACE)
        await x.end()
