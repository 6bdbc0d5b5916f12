"""Mixed traffic over ordinary HTTP, and what its clients counted: the other half of "the numbers agree"."""

from __future__ import annotations

import http.client
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

SENTENCES = Path(__file__).parents[1] / "data" / "sentences.jsonl"
LEFT = 499  # what the gateway writes down when the client hangs up
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `body` is JSON, or bytes where it is to be none; `leave_after` are bytes of the answer after which
    the client hangs up."""

    path: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    leave_after: int | None = None
    method: str = "POST"

    @property
    def data(self) -> bytes | None:
        """What is sent."""
        if self.method == "GET":
            return None
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True, slots=True)
class Got:
    """What came back. `nano_usd` and the tokens are those that the answer stated; `told`: whether it stated them."""

    status: int
    model: str = ""
    decision_id: str = ""
    code: str = ""  # of an error
    told: bool = False
    input: int = 0
    output: int = 0
    nano_usd: int = 0


@dataclass
class Tally:
    """What the clients counted."""

    got: list[Got] = field(default_factory=list)
    unsent: int = 0

    def statuses(self) -> Counter[int]:
        """Requests by status."""
        return Counter(one.status for one in self.got)

    def answered(self) -> Counter[str]:
        """Requests answered with 200, by model."""
        return Counter(one.model for one in self.got if one.status == 200)

    def codes(self) -> Counter[str]:
        """Errors by code."""
        return Counter(one.code for one in self.got if one.code)

    def tokens(self) -> dict[str, Counter[str]]:
        """Tokens by direction and model."""
        found: dict[str, Counter[str]] = {"input": Counter(), "output": Counter()}
        for one in self.got:
            found["input"][one.model] += one.input
            found["output"][one.model] += one.output
        return found

    def nano_usd(self) -> Counter[str]:
        """Cost by model."""
        found: Counter[str] = Counter()
        for one in self.got:
            found[one.model] += one.nano_usd
        return found

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.got + other.got, self.unsent + other.unsent)


def send(base: str, asks: Iterable[Ask], clients: int = 6, seconds: float = 240) -> Tally:
    """Sends them all, `clients` at a time; what `seconds` do not suffice for is not sent, and counted."""
    deadline = time.monotonic() + seconds
    address = urlsplit(base).netloc

    def one(ask: Ask) -> Got | None:
        return exchange(address, ask) if time.monotonic() < deadline else None

    with ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(one, asks))
    return Tally([got for got in results if got is not None], results.count(None))


def exchange(address: str, ask: Ask, timeout_s: float = 120) -> Got:
    """One request and its answer. Raises OSError where the connection breaks before a status came."""
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request(ask.method, ask.path, ask.data, {"content-type": "application/json", **ask.headers})
        response = connection.getresponse()
        head = {name.lower(): value for name, value in response.getheaders()}
        model, decision = head.get("x-parlance-model", ""), head.get("x-parlance-decision-id", "")
        if ask.leave_after is not None and response.status == 200:
            response.read(ask.leave_after)
            return Got(LEFT, model, decision)
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        return Got(response.status, model, decision, code=_code(body))
    stated = list(_usages(body))
    if not stated:
        return Got(200, model, decision)
    return Got(
        200,
        model,
        decision,
        told=True,
        # Anthropic's streams say the input first and the output last.
        input=max(u.get("prompt_tokens", u.get("input_tokens", 0)) for u in stated),
        output=max(u.get("completion_tokens", u.get("output_tokens", 0)) for u in stated),
        nano_usd=max(int(u.get("cost", Decimal()) * NANO) for u in stated),
    )


def _code(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return "unreadable"
    return error.get("code") or error.get("type") or ""


def _usages(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Every usage object of an answer, whole or streamed."""
    if body.startswith(b"{"):
        documents = [body]
    else:
        documents = [line[6:] for line in body.splitlines() if line.startswith(b"data: {")]
    for document in documents:
        parsed = json.loads(document, parse_float=Decimal)
        for holder in (parsed, parsed.get("response"), parsed.get("message")):
            if isinstance(holder, dict) and holder.get("usage"):
                yield holder["usage"]


def sentences() -> dict[str, list[str]]:
    """Texts by language: three in each of 40."""
    found: dict[str, list[str]] = {}
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row["lang"], []).append(row["text"])
    return found


def chat(text: str, model: str = "auto", stream: bool = False, tokens: int = 8, **fields: Any) -> Ask:
    """A chat request; a streamed one asks for its usage."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": tokens, **fields}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Ask("/v1/chat/completions", body)


def every_language(tokens: int = 8) -> list[Ask]:
    """Each of the 40 languages: three texts, streamed and whole in turn, answered by whom the gateway chooses."""
    texts = [text for group in sentences().values() for text in group]
    return [chat(text, stream=index % 2 == 0, tokens=tokens) for index, text in enumerate(texts)]


def every_path(models: Sequence[str], base_models: Sequence[str]) -> list[Ask]:
    """Each model by name on each path that it serves, streamed and whole; hints too. `base_models` only complete."""
    text = "Kva er ein fjord, og korleis vart han til?"
    asks = []
    for model in models:
        for stream in (False, True):
            asks.append(chat(text, model, stream, tokens=24))
            usage = {"stream_options": {"include_usage": True}} if stream else {}
            plain = {"model": model, "prompt": text, "max_tokens": 12, "stream": stream, **usage}
            asks.append(Ask("/v1/completions", plain))
            asks.append(Ask("/v1/responses", {"model": model, "input": text, "max_output_tokens": 8, "stream": stream}))
            messages = [{"role": "user", "content": text}]
            asks.append(Ask("/v1/messages", {"model": model, "messages": messages, "max_tokens": 8, "stream": stream}))
    asks += [Ask("/v1/completions", {"model": model, "prompt": text, "max_tokens": 12}) for model in base_models]
    for hint in (
        {"language": "nn"},
        {"task": "translation"},
        {"quality_floor": "economy"},
        {"quality_floor": "best"},
        {"max_cost_usd": 0.01},
    ):
        asks.append(chat(text, parlance=hint))
    return asks


def conversations(count: int = 6, turns: int = 4) -> list[list[Ask]]:
    """Dialogues that grow: each is to be sent in order, or nobody stays where its prefix is cached."""
    texts = sentences()
    dialogues = []
    for language in list(texts)[:: max(1, len(texts) // count)][:count]:
        history: list[dict[str, str]] = []
        dialogue = []
        for turn in range(turns):
            history.append({"role": "user", "content": f"{texts[language][turn % 3]} " * 8})
            dialogue.append(Ask("/v1/chat/completions", {"model": "auto", "messages": list(history), "max_tokens": 8}))
            history.append({"role": "assistant", "content": texts[language][(turn + 1) % 3]})
        dialogues.append(dialogue)
    return dialogues


def mistakes(model: str) -> list[Ask]:
    """What callers do wrong, one request a kind."""
    good = chat("Hei", model)
    return [
        Ask("/v1/chat/completions", b'{"model": "auto", '),
        Ask("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hei"}]}),
        Ask("/v1/chat/completions", {**good.body, "messages": []}),
        Ask("/v1/chat/completions", {**good.body, "temperature": "warm"}),
        Ask("/v1/chat/completions", {**good.body, "chat_template": "{{ x }}"}),
        Ask("/v1/chat/completions", {**good.body, "max_tokens": 10_000_000}),
        Ask("/v1/chat/completions", {**good.body, "model": "gpt-17"}),
        Ask("/v1/audio/speech", {"model": "auto"}),
        chat("fjord " * 60_000, model),
        chat("Hei", parlance={"max_cost_usd": 1e-12}),
    ]


def leavers(model: str, count: int = 4) -> list[Ask]:
    """Clients that hang up in the middle of a long answer."""
    return [
        Ask("/v1/chat/completions", {**chat("Hei", model, True, tokens=4000).body, "ignore_eos": True}, leave_after=256)
        for _ in range(count)
    ]
