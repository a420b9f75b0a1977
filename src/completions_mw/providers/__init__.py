"""Wire formats of upstreams: how each API of chat models spells requests, answers, streams and errors. Pure, no I/O.

base.py           the interfaces of wire formats: `WireFormat`, `Translator`, `EmbeddingFormat`; and `Upstream`, the API of one provider
endpoint.py       `Endpoint`: URL, headers, timeouts and secrets of one provider, from its settings
registry.py       makes the upstream of a provider from its settings; imports only the wire formats in use
custom.py         `CustomFormat`, the base class of wire formats that host apps and installed packages bring
openai/           OpenAI's API, which every compatible server speaks too
azure/            Azure OpenAI: OpenAI's API with deployments, versions and a content filter
anthropic/        Anthropic's Messages API
gemini/           the Gemini API
bedrock/          Bedrock's Converse API, whose streams are binary
embeddings.py     what embeddings of several APIs have in common
content.py        the parts of messages, for APIs other than OpenAI's
history.py        earlier answers without the members that other vendors' APIs have added
tools.py          tools and tool calls, for APIs whose only tools are functions
fields.py         parameters that several APIs have under other names, or do not have
field_names.py    error messages that name fields of an API, put in the names of OpenAI's parameters
untranslatable.py refusals of what an API cannot express
client_errors.py  errors of upstreams, translated into those that clients get
error_reports.py  what an upstream says about an error, in whatever shape
retry_advice.py   an upstream's advice on retries, as a client may have it
lenient_json.py   JSON that is not quite JSON, read where the strict parser has failed

A wire format is a module or package here with `build_endpoint` and `capabilities_of` beside the functions of `WireFormat`, a class in
settings/providers/, and a case in registry.py. Differences between servers that speak one API are rows in settings/compatible.py.
"""
