"""Which request parameters pass, and within which bounds: checked before an engine sees them.

OpenAI's own parameters and vLLM's sampling extensions pass. What steers the engine's insides does not: it can read
files or URLs, carry another tenant's cache, or jump the queue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from serve.errors import BadRequest
from serve.fleet.gateway import Limits
from serve.routing.records import Endpoint

# vLLM 0.32 request fields (vllm/entrypoints/**/protocol.py) that are neither OpenAI's nor plain sampling.
ENGINE_INTERNAL = {
    "cache_salt": "the gateway separates tenants' prefix caches itself",
    "chat_template": "templates come with the model",
    "data_parallel_rank": "replicas are chosen by load",
    "documents": "put the text into a message",
    "ec_transfer_params": "internal to the engine",
    "enable_response_messages": "internal to the engine",
    "kv_transfer_params": "internal to the engine",
    "logits_processors": "code cannot be sent",
    "media_io_kwargs": "the models of this fleet read text",
    "mm_payload": "the models of this fleet read text",
    "mm_processor_kwargs": "the models of this fleet read text",
    "previous_input_messages": "internal to the engine",
    "priority": "order is the gateway's",
    "prompt_embeds": "the models of this fleet read text",
    "prompt_logprobs": "costs memory for every prompt token",
    "request_id": "send the header x-request-id",
    "return_mm_kwargs": "the models of this fleet read text",
    "routed_experts_prompt_start": "internal to the engine",
    "session_id": "send parlance.session",
    "stream_interval": "internal to the engine",
    "use_beam_search": "its cost cannot be bounded",
    "vllm_xargs": "internal to the engine",
    "watermarking": "internal to the engine",
}

# The prompt of /v1/responses would be a stored template of the platform's; there is no such store here.
_UNSUPPORTED = {
    Endpoint.RESPONSES: {"prompt": "stored prompts are not kept here: send `input`", "background": None},
}

_TEMPLATE_KEYS = ("chat_template", "tokenize", "continue_final_message")
# No double has more digits, and engines parse such integers in quadratic time. Digits become 0 and are looked for as
# one run: a search over the body in a sixth of the time that a regular expression takes.
_LONG_NUMBER = b"0" * 309
_DIGITS_TO_ZERO = bytes(ord("0") if chr(i).isdigit() and i < 128 else ord(".") for i in range(256))
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')

MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_INTEGERS = {"n": 1, "best_of": 1, "min_tokens": 0, "top_logprobs": 0, "top_k": -1, **dict.fromkeys(MAX_TOKENS, 1)}
_NUMBERS = {
    "temperature": (0.0, 2.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
    "repetition_penalty": (0.0, 100.0),
}
_BOOLEANS = ("stream", "echo", "parallel_tool_calls", "store", "ignore_eos", "return_token_ids")

Fields = dict[str, msgspec.Raw]


def shown(value: Any) -> str:
    """A value as it may stand in an error: JSON, at most 60 characters, one line."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        text = "(unprintable)"
    return text if len(text) <= 60 else f"{text[:57]}..."


def value_of(fields: Fields, name: str) -> Any:
    """The decoded value of a parameter, None when it is absent. Raises BadRequest naming it."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"{name}: {error}", param=name, code="invalid_json") from error


def said(error: Exception) -> str:
    """What a decoder complains about, in a word."""
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def typed(decoder: msgspec.json.Decoder[Any], fields: Mapping[str, msgspec.Raw], name: str) -> Any:
    """A field through its decoder. Raises BadRequest with the path in OpenAI's words (messages[0].role)."""
    try:
        return decoder.decode(fields[name])
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$")
        param = name + path.rstrip("`")
        raise BadRequest(f"{param}: {what[:1].lower()}{what[1:]}", param=param, code="invalid_type") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"{name}: not valid: {said(error)}", param=name, code="invalid_json") from error


def check(fields: Fields, endpoint: Endpoint, limits: Limits) -> dict[str, Any]:
    """The parameters that have bounds, decoded. Raises BadRequest for the first that is out of them."""
    if not ENGINE_INTERNAL.keys().isdisjoint(fields):
        name = next(n for n in fields if n in ENGINE_INTERNAL)
        raise BadRequest(f"{name} is not accepted: {ENGINE_INTERNAL[name]}", param=name, code="unsupported_parameter")
    for name, reason in _UNSUPPORTED.get(endpoint, {}).items():
        if name in fields and value_of(fields, name) not in (None, False):
            why = reason or "answers are not stored here"
            raise BadRequest(f"{name} is not accepted: {why}", param=name, code="unsupported_parameter")
    known: dict[str, Any] = {}
    for name in fields:
        checker = _CHECKS.get(name)
        if checker is not None and (value := value_of(fields, name)) is not None:
            checker(name, value, endpoint, limits)
            known[name] = value
    return known


def check_numbers(body: bytes) -> None:
    """Refuses integers that engines would take seconds to parse. Digits inside strings are nobody's business."""
    if len(body) < len(_LONG_NUMBER) or _LONG_NUMBER not in body.translate(_DIGITS_TO_ZERO):
        return
    if _LONG_NUMBER in _STRINGS.sub(b'""', body).translate(_DIGITS_TO_ZERO):
        raise BadRequest("a number has more than 308 digits", code="invalid_json")


def _upper(name: str, limits: Limits) -> int:
    if name in MAX_TOKENS or name == "min_tokens":
        return limits.output_tokens
    if name == "top_logprobs":
        return limits.logprobs
    return limits.n if name in ("n", "best_of") else 1_000_000


def _integer(name: str, value: Any, low: int, high: int) -> None:
    if type(value) is not int:
        raise BadRequest(f"{name}: {shown(value)} is not an integer", param=name, code="invalid_type")
    if not low <= value <= high:
        raise BadRequest(f"{name}: {shown(value)} is out of range: {low} to {high} are allowed", param=name)


def _count(name: str, value: Any, endpoint: Endpoint, limits: Limits) -> None:
    _integer(name, value, _INTEGERS[name], _upper(name, limits))


def _number(name: str, value: Any, endpoint: Endpoint, limits: Limits) -> None:
    low, high = _NUMBERS[name]
    if type(value) not in (int, float):
        raise BadRequest(f"{name}: {shown(value)} is not a number", param=name, code="invalid_type")
    if not low <= value <= high:
        raise BadRequest(f"{name}: {shown(value)} is out of range: {low:g} to {high:g} are allowed", param=name)


def _boolean(name: str, value: Any, endpoint: Endpoint, limits: Limits) -> None:
    if type(value) is not bool:
        raise BadRequest(f"{name}: {shown(value)} is not true or false", param=name, code="invalid_type")


def _logprobs(name: str, value: Any, endpoint: Endpoint, limits: Limits) -> None:
    if endpoint is Endpoint.COMPLETIONS:  # there it is a count
        _integer(name, value, 0, limits.logprobs)
    else:
        _boolean(name, value, endpoint, limits)


def _stop(name: str, value: Any, endpoint: Endpoint, limits: Limits) -> None:
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(s, str) for s in stops):
        raise BadRequest(f"{name}: {shown(value)} is not a string or an array of strings", param=name)
    if len(stops) > limits.stop_sequences:
        raise BadRequest(f"{name}: {len(stops)} sequences; at most {limits.stop_sequences} are allowed", param=name)
    if any(len(s) > 1000 for s in stops):
        raise BadRequest(f"{name}: a sequence may have at most 1000 characters", param=name)


def _template_kwargs(name: str, value: Any, endpoint: Endpoint, limits: Limits) -> None:
    if not isinstance(value, dict):
        raise BadRequest("chat_template_kwargs: not an object", param="chat_template_kwargs", code="invalid_type")
    for key in _TEMPLATE_KEYS:
        if key in value:
            raise BadRequest(
                f"chat_template_kwargs.{key} is not accepted: templates come with the model",
                param=f"chat_template_kwargs.{key}",
                code="unsupported_parameter",
            )


_CHECKS: dict[str, Callable[[str, Any, Endpoint, Limits], None]] = {
    **dict.fromkeys(_INTEGERS, _count),
    **dict.fromkeys(_NUMBERS, _number),
    **dict.fromkeys(_BOOLEANS, _boolean),
    "logprobs": _logprobs,
    "stop": _stop,
    "stop_sequences": _stop,
    "chat_template_kwargs": _template_kwargs,
}
