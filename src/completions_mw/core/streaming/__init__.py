"""Streamed answers, on their way to the client.

opening.py      `OpenedAnswer`: a streamed answer whose first chunks have arrived
chunks.py       `ChunkStream`: the chunks of one answer, with its charge and its one end
leaving.py      the usage of streams whose clients have left
finishing.py    `Finishing`: answers that are read to their end without their clients
rules.py        `StreamRules`: what all streams of a gateway have in common
choice.py       one choice of an answer, brought to the grammar
grammar.py      `ChunkGrammar`: the order in which OpenAI's clients expect chunks, for the chunks of every target
body.py         `StreamBody`: a stream as the body of an HTTP response
reader.py       `ChunkReader`: the chunks of a direct call, as objects
whole.py        `WholeBody`: a large whole answer as the body of an HTTP response
replay.py       stored answers as streams
pieces.py       chunks, and the chunks of a whole answer
accumulator.py  `Accumulator`: the whole answer of its chunks
"""

from completions_mw.core.streaming.body import ChunkSource, ResponseBody, StreamBody
from completions_mw.core.streaming.chunks import ChunkStream, StreamEnd
from completions_mw.core.streaming.finishing import Finishing, PatientConnection
from completions_mw.core.streaming.reader import ChunkReader
from completions_mw.core.streaming.rules import StreamRules
from completions_mw.core.streaming.whole import WholeBody

__all__ = [
    "ChunkReader",
    "ChunkSource",
    "ChunkStream",
    "Finishing",
    "PatientConnection",
    "ResponseBody",
    "StreamBody",
    "StreamEnd",
    "StreamRules",
    "WholeBody",
]
