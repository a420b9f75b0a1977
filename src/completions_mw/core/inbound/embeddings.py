"""OpenAI's embeddings: requests and answers as clients send and read them (docs/contract.md, Embeddings)."""

from dataclasses import replace
from typing import Any, Final

from completions_mw.core.costs import estimate_embeddings
from completions_mw.core.inbound.openai_dialect import OpenAIDialect
from completions_mw.core.routes import EMBEDDINGS
from completions_mw.core.validation.embeddings import Embed, check_batch, validate_embeddings
from completions_mw.core.validation.json_body import Bounds
from completions_mw.core.validation.vendor_params import ParamPolicies, ParamPolicy


class Embeddings(OpenAIDialect[Embed]):
    """The dialect of `POST {prefix}/embeddings`, and of direct calls for embeddings.

    Args:
        policies: what happens to parameters that the API does not have, by the name of the model.
        bounds: bounds of a request's structure, beside which there may be as many items as there may be tokens.
        max_inputs: inputs that a request may have at most.
        max_tokens: tokens that the inputs of a request may have together.
    """

    path: Final = EMBEDDINGS

    def __init__(self, policies: ParamPolicies, bounds: Bounds, max_inputs: int, max_tokens: int) -> None:
        super().__init__(policies, replace(bounds, max_items=bounds.max_items + max_tokens))
        self._max_inputs = max_inputs
        self._max_tokens = max_tokens

    def _validated(self, fields: dict[str, Any], policy: ParamPolicy) -> Embed:
        request = validate_embeddings(fields, max_inputs=self._max_inputs, policy=policy)
        check_batch(request, estimate_embeddings(request).prompt, self._max_tokens)
        return request
