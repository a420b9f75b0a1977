"""Requests that an API cannot express, refused before it is asked."""

from completions_mw.errors import InvalidRequestError


def untranslatable(param: str, reason: str, *, is_value: bool = True) -> InvalidRequestError:
    """Return the error for a part of a request that an API cannot express. Another target of the model may be able to.

    Args:
        param: path of the part, as `messages[0].content[1].image_url.url`.
        reason: rest of the sentence "The upstream provider …".
        is_value: whether the API has the parameter, and only not this value.
    """
    code = "unsupported_value" if is_value else "unsupported_parameter"
    error = InvalidRequestError(
        f"Unsupported {'value' if is_value else 'parameter'}: '{param}'. The upstream provider {reason}.", param=param, code=code
    )
    error.next_target = True
    return error
