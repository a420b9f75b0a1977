"""Models inside this process, behind the `Model` port; the pipeline treats them like upstreams.

function.py         `BlockingFunctionModel` and `AsyncFunctionModel`: a Python function or generator as a model
function_source.py  what a function returns or yields, inline, in a thread or in a task
echo.py             `echo`: a model that repeats the client's text
echo_embeddings.py  `echo_embeddings`: an embeddings model that counts words
example.py          the smallest value that a JSON schema allows, for `echo`
forced_calls.py     tool calls that a request forces on the model
llama_cpp/          a model file that llama.cpp runs
stream.py           from the items of a model to events, or to one completion
vectors.py          from the items of an embeddings model to one answer
chunks.py           from an item to chunks
checks.py           checks of items that are dicts
inbox.py            the queue between a model and its reader on an event loop
task_source.py      async code as a source of items
thread_source.py    blocking code as a source of items
threads.py          bounds the threads of blocking models in an async gateway
faults.py           exceptions of models that must not be mistaken for something else
"""

from completions_mw.backends.models.echo import echo
from completions_mw.backends.models.function import AsyncFunctionModel, BlockingFunctionModel
from completions_mw.backends.models.llama_cpp import AsyncLlamaCppModel, BlockingLlamaCppModel, default_weights

__all__ = [
    "AsyncFunctionModel",
    "AsyncLlamaCppModel",
    "BlockingFunctionModel",
    "BlockingLlamaCppModel",
    "default_weights",
    "echo",
]
