"""Every failure that a caller can see, each with its OpenAI code, HTTP status and whether a retry helps.

Adapters translate foreign exceptions into these with `raise ... from`; `serve.gateway.wire` alone turns them into
the OpenAI error object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ParlanceError(Exception):
    """A failure with a sentence for the caller.

    `param` is the path of the field at fault in the caller's words (`messages[0].content`), or None.
    `retry_after_s` is set where waiting helps.
    """

    status = 500
    type = "server_error"
    code = "internal_error"

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code
        self.retry_after_s = retry_after_s


class BadRequest(ParlanceError):
    """The request itself is wrong: sending it again cannot help."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class Unauthenticated(ParlanceError):
    """No key, or one that is not known."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class Forbidden(ParlanceError):
    """A known key that may not do this."""

    status = 403
    type = "permission_error"
    code = "not_allowed"


class NotFound(ParlanceError):
    """No such path or model."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(ParlanceError):
    """The path exists, with another method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class TooSlow(ParlanceError):
    """The client took longer to send its request than the limits allow."""

    status = 408
    type = "invalid_request_error"
    code = "request_timeout"


class TooLarge(ParlanceError):
    """A body or header over the limits of the description."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class NoModel(ParlanceError):
    """No model of the fleet can take this request as it is (every candidate was rejected for a lasting reason)."""

    status = 400
    type = "invalid_request_error"
    code = "no_suitable_model"


class Overloaded(ParlanceError):
    """Capacity exists and is taken."""

    status = 429
    type = "rate_limit_error"
    code = "overloaded"


class BudgetExceeded(ParlanceError):
    """What is left of the tenant's budget does not cover what the request is expected to cost. OpenAI's name for it."""

    status = 429
    type = "insufficient_quota"
    code = "insufficient_quota"


class Unavailable(ParlanceError):
    """No capacity at this moment: the engine is down, starting or unreachable."""

    status = 503
    type = "service_unavailable_error"
    code = "engine_unavailable"


class UpstreamFailed(ParlanceError):
    """The engine answered something that is no answer."""

    status = 502
    type = "server_error"
    code = "engine_error"


class UpstreamTimeout(ParlanceError):
    """The engine said nothing within the time that the description gives it."""

    status = 504
    type = "server_error"
    code = "engine_timeout"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a description: where, what stands there, what is allowed."""

    path: str
    value: str
    allowed: str

    def __str__(self) -> str:
        where = self.path or "(top level)"
        return f"{where}: {self.value}: {self.allowed}" if self.value else f"{where}: {self.allowed}"


class DescriptionError(ParlanceError):
    """A file that a person wrote is wrong. Carries every problem found, not only the first."""

    status = 400
    type = "invalid_request_error"
    code = "bad_description"

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        many = f"{len(self.problems)} problems" if len(self.problems) != 1 else "1 problem"
        super().__init__("\n".join([f"{source}: {many}", *(f"  {p}" for p in self.problems)]))


class LocalError(ParlanceError):
    """A command cannot go on, for one reason that a person can mend (a taken port, too little memory, a tool)."""

    code = "local"
