"""A request body, parsed once: what the choice needs of it, and the bytes that the engine gets.

Top-level values stay the bytes that the client sent; only what is read here is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from serve.errors import BadRequest
from serve.fleet.gateway import Limits
from serve.gateway import parameters
from serve.gateway.hints import read_hints
from serve.gateway.prefixes import Prefix, after_tools
from serve.routing.records import Ability, Endpoint, Request

Raw = msgspec.Raw

TEXT_HEAD, TEXT_TAIL = 6000, 2000  # characters of a turn that the language is read from
EARLIER_TURNS = 4
_TEXT_PARTS = {"text", "input_text", "output_text", "refusal", "summary_text", "thinking", "redacted_thinking"}
_STRUCTURE_PARTS = {"tool_use", "tool_result", "reasoning", "function_call", "function_call_output", "message"}
_SYSTEM_ROLES = {"system", "developer"}


class _Part(msgspec.Struct):
    type: str = "text"
    text: str | None = None
    content: Raw = Raw(b"null")


class _Message(msgspec.Struct):
    role: str | None = None
    type: str | None = None
    content: str | list[_Part] | None = None
    tool_calls: Raw = Raw(b"null")
    output: Raw = Raw(b"null")


_body = msgspec.json.Decoder(dict[str, Raw])
_messages = msgspec.json.Decoder(list[_Message])
_input = msgspec.json.Decoder(str | list[_Message])
_system = msgspec.json.Decoder(str | list[_Part] | None)
_instructions = msgspec.json.Decoder(str | None)
_prompt = msgspec.json.Decoder(str | list[str | int | list[int]])
_string = msgspec.json.Decoder(str)


@dataclass(slots=True)
class Parsed:
    """A valid request: what the choice needs (`request`) and what the engine needs (`fields`)."""

    endpoint: Endpoint
    fields: dict[str, Raw]
    request: Request
    stream: bool
    include_usage: bool  # the client asked for the usage chunk itself
    guided: bool  # tools or a response format: an answer that cannot be checked or resumed as plain text
    prefixes: tuple[Prefix, ...] = ()  # the conversation up to each of its turns, shortest first
    conversation: str = ""  # the user's first turn: what a conversation is known by where it has no session

    def engine_body(self, model: str, cache_salt: str | None) -> bytes:
        """The body for an engine that knows the model by this name."""
        fields = self.fields
        fields["model"] = Raw(msgspec.json.encode(model))
        if cache_salt is not None:
            fields["cache_salt"] = Raw(msgspec.json.encode(cache_salt))
        else:
            fields.pop("cache_salt", None)
        return msgspec.json.encode(fields)


def parse(body: bytes, endpoint: Endpoint, headers: Mapping[bytes, bytes], limits: Limits) -> Parsed:
    """The request in a body. Raises BadRequest naming the field, its value and what is allowed."""
    fields = _decode_body(body)
    known = parameters.check(fields, endpoint, limits)
    hints = read_hints(fields.pop("parlance", None), headers)
    model = parameters.typed(_string, fields, "model") if "model" in fields else None
    if not model:
        raise BadRequest(
            "model is required: a model's id (GET /v1/models lists them), or `auto`",
            param="model",
            code="missing_required_parameter",
        )
    text = _TextReader()
    _READERS[endpoint](fields, text)
    stream = bool(known.get("stream"))
    include_usage = _usage_chunk(fields, endpoint, stream)
    if endpoint is Endpoint.RESPONSES and fields.get("truncation") == Raw(b"null"):
        del fields["truncation"]  # valid for OpenAI, refused by vLLM 0.32
    tools = fields.get("tools")
    has_tools = tools is not None and bytes(tools) not in (b"null", b"[]")
    if has_tools:
        assert tools is not None
        text.structure(len(bytes(tools)))
        text.needs.add(Ability.TOOLS)
    if endpoint is Endpoint.EMBEDDINGS:
        text.needs.add(Ability.EMBEDDINGS)
    caps = [known[name] for name in parameters.MAX_TOKENS if known.get(name) is not None]
    request = Request(
        model=model,
        endpoint=endpoint,
        text=text.last,
        earlier=tuple(text.earlier[-EARLIER_TURNS:][::-1]),
        instructions="\n".join(text.instructions),
        characters=text.characters,
        structured_characters=text.structured,
        turns=max(text.turns, 1),
        max_output_tokens=min(caps) if caps else None,
        choices=max(known.get("n") or 1, known.get("best_of") or 1),
        needs=frozenset(text.needs),
        hints=hints,
    )
    guided = has_tools or any(name in fields for name in ("response_format", "structured_outputs", "text"))
    prefixes = after_tools(text.chain, bytes(tools) if has_tools and tools is not None else b"")
    conversation = text.earlier[0] if text.earlier else text.last
    return Parsed(endpoint, fields, request, stream, include_usage, guided, prefixes, conversation)


def _decode_body(body: bytes) -> dict[str, Raw]:
    if not body:
        raise BadRequest("the body is empty: a JSON object is expected", code="invalid_json")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}", code="invalid_json") from error
    try:
        fields = _body.decode(body)
    except msgspec.ValidationError as error:
        raise BadRequest("the body must be a JSON object", code="invalid_json") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not valid JSON: {parameters.said(error)}", code="invalid_json") from error
    parameters.check_numbers(body)
    return fields


class _TextReader:
    """Gathers what the language is read from, and how many characters become prompt tokens."""

    __slots__ = ("chain", "characters", "earlier", "instructions", "last", "needs", "structured", "turns")

    def __init__(self) -> None:
        self.last = ""
        self.earlier: list[str] = []
        self.instructions: list[str] = []
        self.characters = 0
        self.structured = 0
        self.turns = 0
        self.chain: list[Prefix] = []
        self.needs: set[Ability] = set()

    def user(self, text: str) -> None:
        """A turn of the user: the newest is what the answer is to."""
        self.characters += len(text)
        if not text:
            return
        if self.last:
            self.earlier.append(self.last)
        self.last = text if len(text) <= TEXT_HEAD + TEXT_TAIL else f"{text[:TEXT_HEAD]}\n{text[-TEXT_TAIL:]}"

    def system(self, text: str) -> None:
        """Instructions of the application."""
        self.characters += len(text)
        self.needs.add(Ability.SYSTEM_ROLE)
        self.instructions.append(text[: TEXT_HEAD + TEXT_TAIL])

    def structure(self, characters: int) -> None:
        """JSON that becomes part of the prompt."""
        self.characters += characters
        self.structured += characters

    def messages(self, messages: list[_Message], name: str) -> None:
        """A conversation in any of the APIs' shapes."""
        for index, message in enumerate(messages):
            text = self._content(message.content, f"{name}[{index}].content")
            self.structure(len(bytes(message.tool_calls)) + len(bytes(message.output)) - 8)  # two nulls
            self.turns += 1
            role = message.role
            before = self.chain[-1].digest if self.chain else 0
            digest = hash((before, role, text, bytes(message.tool_calls), bytes(message.output)))
            if role in _SYSTEM_ROLES:
                self.system(text)
            elif role == "user":
                self.user(text)
            else:
                self.characters += len(text)
                if role in ("tool", "function") or message.type == "function_call_output":
                    self.needs.add(Ability.TOOL_ROLE)
            self.chain.append(Prefix(digest, self.characters, role == "assistant"))

    def _content(self, content: str | list[_Part] | None, path: str) -> str:
        if content is None or isinstance(content, str):
            return content or ""
        texts = []
        for index, part in enumerate(content):
            if part.type in _TEXT_PARTS:
                texts.append(part.text or "")
            elif part.type in _STRUCTURE_PARTS:
                self.structure(len(bytes(part.content)))
            else:
                raise BadRequest(
                    f"{path}[{index}].type: {parameters.shown(part.type)} is not accepted: these models read text",
                    param=f"{path}[{index}].type",
                    code="unsupported_content",
                )
        return "\n".join(texts)


def _read_chat(fields: dict[str, Raw], text: _TextReader) -> None:
    if "messages" not in fields:
        raise BadRequest("messages is required", param="messages", code="missing_required_parameter")
    messages = parameters.typed(_messages, fields, "messages")
    if not messages:
        raise BadRequest("messages: at least one message is required", param="messages")
    for index, message in enumerate(messages):
        if message.role is None:
            path = f"messages[{index}].role"
            raise BadRequest(f"{path} is required", param=path, code="missing_required_parameter")
    text.messages(messages, "messages")


def _read_messages(fields: dict[str, Raw], text: _TextReader) -> None:
    if "max_tokens" not in fields:
        raise BadRequest("max_tokens is required", param="max_tokens", code="missing_required_parameter")
    if "system" in fields:
        system = parameters.typed(_system, fields, "system")
        if system is not None:
            said = text._content(system, "system")
            text.system(said)
            text.chain.append(Prefix(hash(("system", said)), text.characters, False))
    _read_chat(fields, text)


def _read_responses(fields: dict[str, Raw], text: _TextReader) -> None:
    if "input" not in fields:
        raise BadRequest("input is required", param="input", code="missing_required_parameter")
    if "instructions" in fields:
        instructions = parameters.typed(_instructions, fields, "instructions")
        if instructions:
            text.system(instructions)
            text.chain.append(Prefix(hash(("system", instructions)), text.characters, False))
    given = parameters.typed(_input, fields, "input")
    if isinstance(given, str):
        text.user(given)
    else:
        text.messages(given, "input")


def _read_prompts(name: str) -> Any:
    def read(fields: dict[str, Raw], text: _TextReader) -> None:
        if name not in fields:
            raise BadRequest(f"{name} is required", param=name, code="missing_required_parameter")
        prompt = parameters.typed(_prompt, fields, name)
        for item in [prompt] if isinstance(prompt, str) else prompt:
            if isinstance(item, str):
                text.user(item)
            else:  # token ids: their text is unknown here, and four characters a token the usual guess
                text.characters += 4 * (len(item) if isinstance(item, list) else 1)
        text.earlier.clear()  # prompts of one request are not turns of one conversation

    return read


_READERS = {
    Endpoint.CHAT: _read_chat,
    Endpoint.MESSAGES: _read_messages,
    Endpoint.RESPONSES: _read_responses,
    Endpoint.COMPLETIONS: _read_prompts("prompt"),
    Endpoint.EMBEDDINGS: _read_prompts("input"),
}


def _usage_chunk(fields: dict[str, Raw], endpoint: Endpoint, stream: bool) -> bool:
    """Asks the engine for usage in the last chunk, and says whether the client had asked for it too."""
    if endpoint not in (Endpoint.CHAT, Endpoint.COMPLETIONS):
        return True  # the other APIs always say it
    if not stream:
        if fields.pop("stream_options", None) not in (None, Raw(b"null")):
            raise BadRequest("stream_options: only allowed with stream: true", param="stream_options")
        return True
    options = parameters.value_of(fields, "stream_options")
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise BadRequest("stream_options: not an object", param="stream_options", code="invalid_type")
    asked = options.get("include_usage", False)
    if type(asked) is not bool:
        raise BadRequest(
            f"stream_options.include_usage: {parameters.shown(asked)} is not true or false",
            param="stream_options.include_usage",
            code="invalid_type",
        )
    fields["stream_options"] = Raw(msgspec.json.encode({**options, "include_usage": True}))
    return asked
