"""What servers send in place of what OpenAI sends, corrected by one code for whole answers and for streams.

embeddings.py      `complete_embeddings`: an answer with embeddings, in the form that the client asked for
completion.py      `complete_answer`: a whole answer with all that OpenAI's schema requires
message.py         the message of a whole answer, or its pieces in a stream, wherever they stand
content.py         text and thoughts of content that is not text
tool_call.py       `ToolCall`: one tool call, and the pieces of it that a target sends
tool_calls.py      `ToolCalls`: the tool calls of one choice, numbered from 0, each with its identity and JSON arguments
finish_reasons.py  OpenAI's five finish reasons, in whatever words they come, and those that say that an answer was cut
usage.py           token counts, in whatever place and words they come

An answer that is right is left alone, to the byte.
"""
