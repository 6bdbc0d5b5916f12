"""The check of replies' languages in the gateway: their first words are taken from bytes that have already been passed
on, and judged when the request is over. Nothing is held back, and nothing is written anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from serve.errors import ParlanceError
from serve.gateway.body import Parsed
from serve.gateway.record import Finished
from serve.gateway.upstream import Upstream
from serve.routing.mix import Mixes
from serve.routing.penalties import CAP, CAP_ALONE, Penalties
from serve.routing.records import Endpoint, Language, Live
from serve.routing.reply import MOST, UNKNOWN, Judged, ReplyReader, Verdict, judge, wanted_of

# A whole answer above this is not decoded a second time for its first words.
MOST_BODY = 1024 * 1024
# Events that are noted before they are read, and a size from which one is read at once. An event is about a token:
# 64 are two hundred letters and more.
BATCH = 64
LARGE = 4096
# Seconds after which points are counted anew where nothing was added: they fade.
REFRESH_S = 60.0

_STRING = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
# The fields of an event that carry a reply's text. `content` is not the end of `reasoning_content`: a quote opens it.
_DELTAS = {
    Endpoint.CHAT: re.compile(rb'"content":\s?' + _STRING),
    Endpoint.COMPLETIONS: re.compile(rb'"text":\s?' + _STRING),
    Endpoint.MESSAGES: re.compile(rb'"text":\s?' + _STRING),
    Endpoint.RESPONSES: re.compile(
        rb'event: response\.output_text\.delta\r?\ndata: [^\n]*?"delta":\s?' + _STRING,
    ),
}
# What an event has that carries such a field, as most engines write it and with a space.
_MARKERS = {
    Endpoint.CHAT: (b'"content":"', b'"content": "'),
    Endpoint.COMPLETIONS: (b'"text":"', b'"text": "'),
    Endpoint.MESSAGES: (b'"text":"', b'"text": "'),
    Endpoint.RESPONSES: (b"response.output_text.delta", b"response.output_text.delta"),
}


class WrongLanguage(ParlanceError):
    """An answer came in another language than the wanted one: the next model is asked. No caller is told."""

    code = "wrong_language"


@dataclass(frozen=True, slots=True)
class Held:
    """An answer that waits for a better one, as the engine gave it."""

    upstream: Upstream
    body: bytes
    status: int
    content_type: bytes
    judged: Judged


class _Text(msgspec.Struct):
    type: str = ""
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Text] | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None


class _Item(msgspec.Struct):
    type: str = ""
    content: list[_Text] | None = None


class _Answer(msgspec.Struct):
    """A whole answer of any of the four APIs, as far as its text goes."""

    choices: list[_Choice] | None = None
    output: list[_Item] | None = None
    content: list[_Text] | None = None


_answer = msgspec.json.Decoder(_Answer)
_string = msgspec.json.Decoder(str)


def checkable(parsed: Parsed, language: Language) -> bool:
    """Whether a reply to this request is one text in a language that is known."""
    return (
        not parsed.guided
        and parsed.endpoint in _DELTAS
        and parsed.request.choices == 1
        and wanted_of(language) is not None
    )


class ReplyTap:
    """Takes the first words of one streamed reply."""

    __slots__ = ("_deltas", "_markers", "_parts", "_reader")

    def __init__(self, endpoint: Endpoint) -> None:
        self._deltas = _DELTAS[endpoint]
        self._markers = _MARKERS[endpoint]
        self._parts: list[bytes] = []
        self._reader = ReplyReader()

    def add(self, events: bytes) -> bool:
        """Notes whole events that were passed on; False: there is enough, and no more need be shown."""
        close, spaced = self._markers
        if close not in events and spaced not in events:
            return True
        self._parts.append(events)
        return (len(self._parts) < BATCH and len(events) < LARGE) or self._read()

    def _read(self) -> bool:
        """Reads the text of the events noted, all at once: a fifteenth of the time of one by one."""
        pieces = b"".join(self._deltas.findall(b"".join(self._parts)))
        self._parts.clear()
        return self._reader.feed(_decoded(pieces))

    @property
    def text(self) -> str:
        """The words so far."""
        if self._parts:
            self._read()
        return self._reader.text


def _decoded(pieces: bytes) -> str:
    if b"\\" in pieces:
        try:
            return _string.decode(b'"%s"' % pieces)
        except (msgspec.DecodeError, UnicodeDecodeError):  # no JSON that an engine writes
            return ""
    return pieces.decode("utf-8", "replace")


def text_of(body: bytes) -> str:
    """The first words of a whole answer; empty where it has none or is none."""
    if len(body) > MOST_BODY:
        return ""
    try:
        answer = _answer.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return ""
    if answer.choices:
        first = answer.choices[0]
        content = first.message.content if first.message else first.text
        if isinstance(content, str):
            return content[:MOST]
        return _joined(content)
    for item in answer.output or ():
        if item.type == "message":
            return _joined(item.content)
    return _joined(answer.content)


def _joined(parts: list[_Text] | None) -> str:
    return " ".join(part.text for part in parts or () if part.text and part.type in ("text", "output_text"))[:MOST]


class ReplyCheck:
    """What a worker has learnt from replies: points against models, and the languages of tenants."""

    def __init__(self, live: Live, one_tenant: bool, speechless: Collection[str] = ()) -> None:
        """`speechless`: models whose engines stand in with random weights. What those write is no language, and says
        nothing of the models that they stand for: it is judged and counted, and takes nothing off their evidence."""
        self._live = live
        self._speechless = frozenset(speechless)
        self.penalties = Penalties(CAP_ALONE if one_tenant else CAP)
        self.mixes = Mixes()
        self._changed: set[str] = set()
        self._refreshed = 0.0

    def settle(self, done: Finished) -> None:
        """Judges the reply of a request that is over, once, and learns from it."""
        decision = done.decision
        if done.settled or decision is None:
            return
        done.settled = True
        language, tenant = decision.language, done.caller.tenant
        if done.status == 200:
            self.mixes.add(tenant, language)
        wanted = wanted_of(language)
        if done.judged is None:
            done.judged = UNKNOWN if done.reply is None else judge(done.reply, wanted)
        done.reply = None  # it has served its purpose
        if wanted is None:
            return
        if done.judged.verdict is not Verdict.UNKNOWN and done.model is not None:
            self._learn(done.model, wanted.tag, tenant, done.judged.verdict is Verdict.WRONG, done.at)
        if done.discarded is not None and done.discarded.judged.verdict is Verdict.WRONG:
            self._learn(done.discarded.model, wanted.tag, tenant, True, done.at)

    def _learn(self, model: str, language: str, tenant: str, wrong: bool, now: float) -> None:
        if model in self._speechless:
            return
        self.penalties.add(model, language, tenant, wrong, now)
        self._changed.add(model)

    def apply(self, now: float) -> None:
        """Brings the models' states up to date with what was learnt. `now` is seconds since the epoch."""
        changed = self._changed
        if abs(now - self._refreshed) > REFRESH_S:
            changed.update(self.penalties.models())
            self._refreshed = now
        for model in changed:
            self._live[model].penalties = self.penalties.points(model, now)
        changed.clear()
