"""Log probabilities of the Gemini API. Source: https://ai.google.dev/api/generate-content#LogprobsResult."""

from collections.abc import Mapping
from typing import Any


def logprobs_of(candidate: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the `logprobs` of a choice: each token with the likeliest ones at its position; None if there are none."""
    result = candidate.get("logprobsResult")
    if result is None:
        return None
    chosen, top = result.get("chosenCandidates") or [], result.get("topCandidates") or []
    others = [[_token(one) for one in step.get("candidates") or ()] for step in top] or [[] for _ in chosen]
    return {"content": [{**_token(one), "top_logprobs": likeliest} for one, likeliest in zip(chosen, others, strict=True)], "refusal": None}


def _token(candidate: Mapping[str, Any]) -> dict[str, Any]:
    token = candidate["token"]
    return {"token": token, "logprob": candidate.get("logProbability"), "bytes": list(token.encode())}
