"""Signatures of requests to AWS (Signature Version 4), made by botocore with the credentials that it finds.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. Needs the extra `bedrock`.
"""

from collections import deque
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from completions_mw.backends.credentials import KEPT_TOKENS, credentials_error
from completions_mw.backends.runners import Runner
from completions_mw.errors import ConfigurationError
from completions_mw.http import Headers, UpstreamRequest
from completions_mw.settings import AwsSignature

if TYPE_CHECKING:
    from botocore.credentials import Credentials, ReadOnlyCredentials

_ADDED: Final = ("authorization", "x-amz-date", "x-amz-security-token")
"""Headers that a signature adds."""


class AwsCredentials:
    """Signs each request. botocore looks for credentials at the first one: in the environment, in files, at a service of the machine.

    Args:
        provider: name of the provider in the settings, for the log.
        signature: what is signed for, and the profile with the credentials.
        run: signs inline or in a thread, since botocore gets credentials over the network too, and again before they expire.
        debug: whether the log may quote exceptions of botocore.

    Raises:
        ConfigurationError: botocore is not installed.
    """

    def __init__(self, provider: str, signature: AwsSignature, run: Runner, *, debug: bool) -> None:
        if find_spec("botocore") is None:
            raise ConfigurationError(
                f"providers.{provider}: without an `api_key`, its requests are signed by botocore: pip install 'completions-mw[bedrock]'"
            )
        self._provider = provider
        self._signature = signature
        self._run = run
        self._debug = debug
        self._source: Credentials | None = None
        self._used: deque[ReadOnlyCredentials] = deque(maxlen=KEPT_TOKENS)

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(text for used in self._used for text in (used.access_key, used.secret_key, used.token) if text)

    async def authorize(self, request: UpstreamRequest) -> None:
        try:
            request.headers = (*request.headers, *await self._run(self._signed, request))
        except Exception as error:
            raise credentials_error(self._provider, error, debug=self._debug) from error

    def _signed(self, request: UpstreamRequest) -> Headers:
        """Return the headers with the signature of a request."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        if self._source is None:
            self._source = _find_credentials(self._signature.profile)
        credentials = self._source.get_frozen_credentials()
        if credentials not in self._used:
            self._used.append(credentials)
        signed: Any = AWSRequest("POST", request.url, dict(request.headers), request.body)
        SigV4Auth(credentials, self._signature.service, self._signature.region).add_auth(signed)
        return tuple((name, signed.headers[name]) for name in _ADDED if name in signed.headers)


def _find_credentials(profile: str | None) -> "Credentials":
    """Return the credentials of a profile, or of wherever botocore finds some.

    Raises:
        LookupError: there are none.
    """
    from botocore.session import Session

    found = Session(profile=profile).get_credentials()
    if found is None:
        raise LookupError("botocore finds no credentials: https://docs.aws.amazon.com/boto3/latest/guide/credentials.html")
    return found
