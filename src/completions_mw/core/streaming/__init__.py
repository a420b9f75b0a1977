"""A streamed answer on its way out.

chunks.py   `ChunkStream`: the chunks of one answer
grammar.py  the order in which OpenAI's clients expect them, imposed on whatever a target sends
reader.py   `ChunkReader`: the chunks of a direct call, typed
"""

from completions_mw.core.streaming.body import StreamBody
from completions_mw.core.streaming.chunks import ChunkStream, StreamEnd
from completions_mw.core.streaming.reader import ChunkReader

__all__ = [
    "ChunkReader",
    "ChunkStream",
    "StreamBody",
    "StreamEnd",
]
