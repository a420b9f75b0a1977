"""Is this a request that OpenAI would take? Nothing here looks at who is calling.

headers.py        the headers that are read, checked before the body
json_body.py      from bytes to a JSON object within bounds
request.py        from a JSON object to a validated chat request
message_order.py  tool results follow the calls that they answer
error_texts.py    OpenAI's error texts, as tables
"""
