"""Embeddings requests with more inputs than a target takes at once: split into several, whose answers are joined."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from completions_mw.core.answers.usage import find_usage
from completions_mw.core.validation.embeddings import Embed
from completions_mw.providers.base import Completion


def batches_of(request: Embed, max_inputs: int) -> Iterator[Embed]:
    """Yield requests with at most `max_inputs` inputs each; `request` itself if it has no more."""
    inputs = request.inputs
    if len(inputs) <= max_inputs:
        yield request
        return
    for start in range(0, len(inputs), max_inputs):
        part = inputs[start : start + max_inputs]
        yield replace(request, request=request.request.model_copy(update={"input": part}), fields={**request.fields, "input": part})


def joined(answers: Sequence[Completion]) -> Completion:
    """Return one answer with the vectors of several, and the sum of their usage if all report it; a single answer as it is."""
    if len(answers) == 1:
        return answers[0]
    data = [item for answer in answers for item in answer.data["data"]]
    usages = [usage for answer in answers if (usage := find_usage(answer.data)) is not None]
    whole = {**answers[0].data, "data": [{**item, "index": position} for position, item in enumerate(data)]}
    if len(usages) == len(answers):
        whole["usage"] = {name: sum(usage[name] for usage in usages) for name in ("prompt_tokens", "total_tokens")}
    else:
        whole.pop("usage", None)
    return Completion(whole)
