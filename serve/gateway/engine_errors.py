"""An engine's own error as one of ours: the same status, OpenAI's shape, nothing about the engine's insides.

Where bare vLLM 0.32 leaves OpenAI's contract: `code` is a number, 404 and 405 are `{"detail": …}`; HAProxy's 502, 503
and 504 arrive as 500 with a page of HTML or plain text.
"""

from __future__ import annotations

import msgspec

from serve import errors
from serve.errors import ParlanceError

_BY_STATUS: dict[int, type[ParlanceError]] = {
    400: errors.BadRequest,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
    422: errors.BadRequest,
    429: errors.Overloaded,
    503: errors.Unavailable,
    504: errors.UpstreamTimeout,
}
_CONTEXT_WORDS = ("maximum context length", "max_model_len", "longer than the maximum model length")
MAX_MESSAGE = 2000


class _Inner(msgspec.Struct):
    message: str = ""
    param: str | None = None


class _Body(msgspec.Struct):
    error: _Inner | str | None = None
    message: str = ""
    detail: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Body)


def translate(status: int, body: bytes, model_id: str) -> ParlanceError:
    """What the caller is told for an engine's answer with this status (400 or more) and body."""
    message, param, spoken = _read(body)
    if status >= 500 and not spoken:  # not the engine's words: the proxy's, for an engine that is not there
        return errors.Unavailable(f"no replica of {model_id} answers at the moment", retry_after_s=5)
    kind = _BY_STATUS.get(status)
    if status == 429:
        return errors.Overloaded(f"every replica of {model_id} is busy", retry_after_s=1)
    if kind is None:
        kind = errors.UpstreamFailed if status >= 500 or status in (401, 403) else errors.BadRequest
    if kind is errors.UpstreamFailed:
        said = message if status >= 500 else f"the endpoint of {model_id} refused the gateway's own key"
        return errors.UpstreamFailed(said or f"the engine of {model_id} answered {status}")
    code = "context_length_exceeded" if any(words in message for words in _CONTEXT_WORDS) else None
    error = kind(message or f"the engine of {model_id} answered {status}", param=param, code=code)
    if error.status == 503:
        error.retry_after_s = 5
    return error


def _read(body: bytes) -> tuple[str, str | None, bool]:
    """Message, param, and whether the body is JSON as an engine speaks it."""
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return "", None, False
    if isinstance(found.error, _Inner):
        return found.error.message[:MAX_MESSAGE], found.error.param, True
    if isinstance(found.error, str):
        return found.error[:MAX_MESSAGE], None, True
    if found.message:
        return found.message[:MAX_MESSAGE], None, True
    detail = bytes(found.detail)
    return (
        (detail.decode(errors="replace").strip('"')[:MAX_MESSAGE], None, True)
        if detail != b"null"
        else ("", None, False)
    )
