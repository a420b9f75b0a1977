"""How each API of chat models spells requests, answers, streams and errors: pure, no I/O.

base.py           what a wire format is: `WireFormat`, its `Translator` of streams, and `Upstream`, the API of one provider
endpoint.py       `Endpoint`: where an upstream is, and what its errors must not show
registry.py       from a provider's settings to its upstream; loads a wire format where a provider speaks it
openai.py         OpenAI's chat completions, spoken by OpenAI and by every compatible server
openai_errors.py  how OpenAI and compatible servers report errors, and what each error means for a client

What differs between servers that speak one API is a row in settings/compatible.py.
"""
