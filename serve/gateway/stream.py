"""What is read from and written into an engine's answer on its way: usage, cost, errors. All else stays as it came.

Events are found by byte search. Inside a JSON string the quotes of `"usage":{` are escaped, so the pattern cannot
occur in generated text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from serve.errors import ParlanceError, Unavailable
from serve.routing.records import Endpoint

MAX_HELD = 1024 * 1024  # an event larger than this is passed on in parts
_USAGE, _USAGE_SPACED = b'"usage":{', b'"usage": {'
_ERROR = b'data: {"error"'
_ERROR_EVENT = b"event: error"
_USAGE_OPENS = re.compile(rb'"usage"\s*:\s*\{\s*(\})?')
_END = re.compile(rb"\r?\n\r?\n")


class _Details(msgspec.Struct):
    cached_tokens: int | None = 0


class _UsageObject(msgspec.Struct):
    """Usage in OpenAI's two spellings and Anthropic's."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    cache_read_input_tokens: int | None = None


class _Inner(msgspec.Struct):
    usage: _UsageObject | None = None


class _Event(msgspec.Struct):
    usage: _UsageObject | None = None
    response: _Inner | None = None  # /v1/responses
    message: _Inner | None = None  # /v1/messages
    choices: list[msgspec.Raw] | None = None


class _ErrorText(msgspec.Struct):
    message: str = ""


class _ErrorEvent(msgspec.Struct):
    error: _ErrorText | None = None
    message: str = ""


_event = msgspec.json.Decoder(_Event)
_error_event = msgspec.json.Decoder(_ErrorEvent)


@dataclass(slots=True)
class Usage:
    """Tokens as the engine counted them. `cached_tokens` are part of `prompt_tokens`."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False


def _merge(usage: Usage | None, found: _UsageObject) -> Usage:
    """Anthropic's streams say the input first and the output last: the larger figure of each is the final one."""
    usage = usage or Usage()
    details = found.prompt_tokens_details or found.input_tokens_details
    cached = (details.cached_tokens if details else found.cache_read_input_tokens) or 0
    prompt = found.prompt_tokens if found.prompt_tokens is not None else found.input_tokens or 0
    if found.cache_read_input_tokens and details is None:
        prompt += found.cache_read_input_tokens  # Anthropic counts them apart
    completion = found.completion_tokens if found.completion_tokens is not None else found.output_tokens or 0
    usage.prompt_tokens = max(usage.prompt_tokens, prompt)
    usage.cached_tokens = min(max(usage.cached_tokens, cached), usage.prompt_tokens)
    usage.completion_tokens = max(usage.completion_tokens, completion)
    return usage


def with_cost(data: bytes, nano_usd: int) -> bytes:
    """The JSON with `cost` (USD) as the first field of its usage object."""

    def splice(match: re.Match[bytes]) -> bytes:
        amount = b"%d.%09d" % divmod(nano_usd, 1_000_000_000)
        return b'"usage":{"cost":%s%s' % (amount, b"}" if match.group(1) else b",")

    return _USAGE_OPENS.sub(splice, data, count=1)


def edit_body(body: bytes, price: Callable[[Usage], int]) -> tuple[bytes, Usage | None]:
    """A whole answer with its cost in it, and its usage. Unchanged, and None, where it states no usage."""
    try:
        found = _event.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return body, None
    if found.usage is None:
        return body, None
    usage = _merge(None, found.usage)
    return with_cost(body, price(usage)), usage


class EngineStreamError(Unavailable):
    """The engine reported an error inside its stream, after the 200."""

    code = "engine_stream_error"


class StreamEditor:
    """Edits one SSE stream as it passes. `feed` gives what may go to the client now.

    After `failed` is set nothing more of the stream may be sent: the engine's own [DONE] would call it whole.
    """

    __slots__ = ("_endpoint", "_held", "_keep_usage", "_price", "done", "events", "failed", "usage")

    def __init__(self, endpoint: Endpoint, keep_usage: bool, price: Callable[[Usage], int]) -> None:
        self._endpoint = endpoint
        self._keep_usage = keep_usage
        self._price = price
        self._held = b""
        self.usage: Usage | None = None
        self.failed: ParlanceError | None = None
        self.events = 0  # about one a token: what an aborted answer is accounted by
        self.done = False  # the stream said that it is whole

    def feed(self, data: bytes) -> bytes:
        """The bytes to send for these bytes of the engine: whole events only, so that each can be looked at."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(b"\n\n"):
            data = self._whole_events(data)
            if not data:
                return b""
        if _USAGE in data or _ERROR in data or _USAGE_SPACED in data or _ERROR_EVENT in data:
            return self._edit(data)
        self.events += data.count(b"\n\n")
        if data.endswith(b"[DONE]\n\n"):
            self.done = True
        return data

    def rest(self) -> bytes:
        """What was held back when the stream ended: an event without its blank line."""
        held, self._held = self._held, b""
        return self._edit(held) if held else b""

    def _whole_events(self, data: bytes) -> bytes:
        cut = max(data.rfind(b"\n\n") + 2, data.rfind(b"\r\n\r\n") + 4)
        if cut < 4:  # neither was found (-1 + 2, -1 + 4 is 3)
            cut = 0
        self._held = data[cut:]
        if len(self._held) > MAX_HELD:
            cut, self._held = len(data), b""
        return data[:cut]

    def _edit(self, data: bytes) -> bytes:
        out = []
        start = 0
        while start < len(data) and self.failed is None:
            end = _END.search(data, start)
            stop = end.end() if end else len(data)
            out.append(self._edit_event(data[start:stop]))
            start = stop
        return b"".join(out)

    def _edit_event(self, event: bytes) -> bytes:
        self.events += 1
        at = event.find(b"data:")
        payload = event[at + 5 :].strip() if at >= 0 else b""
        if payload == b"[DONE]":
            self.done = True
            return event
        if payload.startswith(b'{"error"') or event.startswith(_ERROR_EVENT):
            self.failed = EngineStreamError(_message_of(payload) or "the engine failed in the middle of its answer")
            return b""
        if _USAGE not in payload and _USAGE_SPACED not in payload:
            return event
        try:
            found = _event.decode(payload)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            return event
        inner = found.response or found.message
        usage = found.usage or (inner.usage if inner else None)
        if usage is None:
            return event
        self.usage = _merge(self.usage, usage)
        if found.choices is not None and not found.choices and not self._keep_usage:
            return b""  # we asked for this chunk, the client did not
        return with_cost(event, self._price(self.usage))


def _message_of(payload: bytes) -> str:
    try:
        found = _error_event.decode(payload)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return ""
    return (found.error.message if found.error else found.message)[:500]
