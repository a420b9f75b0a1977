"""How each API of chat models spells requests, answers, streams and errors: pure functions, no I/O.

base.py    what a wire format is
openai.py  OpenAI's chat completions, spoken by OpenAI and by every compatible server
"""
