"""A request's life: read, decide, dispatch with retries before the first byte, pass on, settle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from time import monotonic, perf_counter, time
from typing import TYPE_CHECKING

from serve import errors
from serve.errors import ParlanceError
from serve.gateway.auth import ANYONE, Caller
from serve.gateway.body import Parsed, parse
from serve.gateway.choice import Chosen, choose, no_model
from serve.gateway.engine_errors import translate
from serve.gateway.exchange import Exchange
from serve.gateway.protocol import SCOPE_KEY, GatewayProtocol
from serve.gateway.reading import read_all, read_body
from serve.gateway.record import Discarded, Finished
from serve.gateway.reply_check import Held, ReplyTap, WrongLanguage, checkable, text_of
from serve.gateway.stream import StreamEditor, Usage, edit_body
from serve.gateway.upstream import Upstream, engine_down
from serve.gateway.wire import JSON, Headers, Receive, Scope, Send, error_event, refuse
from serve.routing.cost import exact_cost_nano_usd
from serve.routing.records import Decision, Endpoint, Mode
from serve.routing.reply import Judged, Verdict, judge, wanted_of

if TYPE_CHECKING:
    from serve.gateway.worker import Worker

MAX_WHOLE_ANSWER = 64 * 1024 * 1024  # bytes of an answer that is not streamed
MAX_ERROR_BODY = 1024 * 1024
_STREAM_HEADERS: Headers = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


def new_id() -> str:
    """A request's name in logs, headers and engines: unique, and no secret."""
    return f"req-{random.getrandbits(96):024x}"


class ClientLeft(ParlanceError):
    """The client closed its connection: nobody is there to tell."""

    status = 499
    code = "client_left"


class Job:
    """One request to one of the model endpoints."""

    __slots__ = (
        "arrived",
        "attempts",
        "caller",
        "chosen",
        "decision_id",
        "discarded",
        "endpoint",
        "exchange",
        "first_byte_s",
        "headers",
        "held",
        "judged",
        "left",
        "model",
        "nano_usd",
        "parsed",
        "reply",
        "request_id",
        "scope",
        "send",
        "started",
        "status",
        "usage",
        "worker",
    )

    def __init__(self, worker: Worker, endpoint: Endpoint, scope: Scope, send: Send, request_id: str | None) -> None:
        self.worker = worker
        self.endpoint = endpoint
        self.scope = scope
        self.send = send
        self.decision_id = new_id()
        self.request_id = request_id or self.decision_id
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.arrived = perf_counter()
        self.caller: Caller = ANYONE
        self.parsed: Parsed | None = None
        self.chosen: Chosen | None = None
        self.model: str | None = None
        self.exchange: Exchange | None = None
        self.left = False
        self.started = False
        self.status = 0
        self.attempts = 0
        self.first_byte_s: float | None = None
        self.usage: Usage | None = None
        self.nano_usd = 0
        self.reply: str | None = None  # first words, for the check of their language
        self.judged: Judged | None = None
        self.held: Held | None = None
        self.discarded: Discarded | None = None

    async def run(self, receive: Receive) -> None:
        """Answers the request, whatever happens, and leaves its record."""
        worker = self.worker
        error: ParlanceError | None = None
        connection: GatewayProtocol | None = self.scope.get(SCOPE_KEY)
        if connection is not None:
            connection.on_lost = self._client_left
        worker.in_flight += 1
        try:
            await self._answer(receive)
        except ParlanceError as failed:
            error = failed
            await self._tell(failed)
        finally:
            worker.in_flight -= 1
            if connection is not None:
                connection.on_lost = None
            self._record(error)

    def _client_left(self) -> None:
        self.left = True
        if self.exchange is not None:
            self.exchange.fail(ClientLeft("the client closed the connection"))

    def _opened(self, exchange: Exchange) -> None:
        """An exchange exists: whoever wants to end it finds it here."""
        self.exchange = exchange
        if self.left:
            exchange.fail(ClientLeft("the client closed the connection"))

    async def _answer(self, receive: Receive) -> None:
        worker = self.worker
        self.caller = worker.keyring.identify(self.headers)
        if worker.in_flight > worker.settings.limits.in_flight:
            raise errors.Overloaded("the gateway has all the requests that it may hold", retry_after_s=1)
        limits = worker.settings.limits
        body = await read_body(receive, self.headers, limits)
        parsed = self.parsed = parse(body, self.endpoint, self.headers, limits)
        decision = self._decide(parsed)
        await self._dispatch(parsed, decision)

    def _decide(self, parsed: Parsed) -> Decision:
        worker = self.worker
        self.chosen = choose(worker, parsed, self.caller)
        decision = self.chosen.decision
        if decision.model is None:
            raise no_model(decision)
        return decision

    async def _dispatch(self, parsed: Parsed, decision: Decision) -> None:
        """Tries the ranking's models until one begins to answer. Raises the last failure."""
        worker = self.worker
        retry = worker.settings.retry
        worker.retries.request()
        ranking = decision.ranking
        if decision.mode is not Mode.AUTO and not worker.upstreams[ranking[0]].state.healthy:
            raise engine_down(ranking[0])
        position = 0
        while True:
            upstream = worker.upstreams[ranking[position % len(ranking)]]
            self.attempts += 1
            try:
                return await self._attempt(upstream, parsed, decision)
            except WrongLanguage:
                worker.instruments.retried(upstream.model.id, WrongLanguage.code)
                position += 1
            except ParlanceError as failed:
                if self.held is not None and not (self.started or self.left):
                    return await self._send_held(self.held, decision)
                if not isinstance(failed, (errors.Unavailable, errors.Overloaded)):
                    raise
                if self.started or self.left:
                    raise
                busy = isinstance(failed, errors.Overloaded)
                if busy and len(ranking) == 1:
                    raise  # a second try a moment later would only add to the load
                if self.attempts >= retry.max_attempts or not worker.retries.take():
                    raise
                worker.instruments.retried(upstream.model.id, failed.code)
                position += 1
                if position >= len(ranking):
                    backoff = retry.backoff_s * 2 ** min(self.attempts - 1, 6)
                    await asyncio.sleep(backoff * (0.5 + random.random()))  # noqa: S311 - jitter, not a secret
                    if not worker.upstreams[ranking[position % len(ranking)]].state.healthy:
                        raise

    async def _attempt(self, upstream: Upstream, parsed: Parsed, decision: Decision) -> None:
        worker = self.worker
        timeouts = worker.settings.timeouts
        own = upstream.model.upstream is None
        salt = worker.cache_salt(self.caller.tenant) if own else None
        self.model = upstream.model.id
        traceparent = self.headers.get(b"traceparent", b"")
        extra = b"traceparent: %s\r\n" % traceparent if len(traceparent) == 55 and traceparent.isascii() else b""
        gauge = upstream.state
        gauge.in_flight += 1
        exchange: Exchange | None = None
        try:
            exchange = await upstream.post(
                parsed.endpoint,
                parsed.engine_body(upstream.remote_name, salt),
                request_id=f"{self.decision_id}-{self.attempts}",
                extra=extra,
                limit_s=timeouts.first_byte_s if parsed.stream else timeouts.whole_s,
                opened=self._opened,
            )
            worker.active.add(exchange)
            exchange.streamed = parsed.stream
            sent = exchange.last
            upstream.waiting.add(exchange)
            try:
                await exchange.start()
                if exchange.status >= 400:
                    raise translate(exchange.status, await read_all(exchange, MAX_ERROR_BODY), upstream.model.id)
                if parsed.stream and exchange.content_type.startswith(b"text/event-stream"):
                    first = await exchange.read()
                    upstream.waits.first_byte(exchange.last - sent, exchange.last)
                else:
                    body = await read_all(exchange, MAX_WHOLE_ANSWER)
                    return await self._whole(upstream, body, exchange, parsed, decision)
            finally:
                upstream.waiting.discard(exchange)
            exchange.limit_s = timeouts.idle_s
            await self._stream(upstream, exchange, first, parsed, decision)
        finally:
            gauge.in_flight -= 1
            if exchange is not None:
                worker.active.discard(exchange)
                # Not whole yet: something above failed. Giving the connection up tells the engine to stop.
                exchange.fail(ClientLeft("given up"))
            self.exchange = None

    async def _whole(
        self, upstream: Upstream, body: bytes, exchange: Exchange, parsed: Parsed, decision: Decision
    ) -> None:
        status, content_type = exchange.status, exchange.content_type or JSON[1]
        held, wanted = self.held, None
        if checkable(parsed, decision.language):
            self.reply = text_of(body)
            if held is not None or self._may_ask_again(upstream, parsed, decision):
                wanted = wanted_of(decision.language)
        if wanted is None:
            await self._send_whole(upstream, body, status, content_type, decision)
            return
        self.judged = judge(self.reply or "", wanted)
        wrong = self.judged.verdict is Verdict.WRONG
        if held is None:
            if wrong and self.worker.retries.take():
                self.held = Held(upstream, body, status, content_type, self.judged)
                raise WrongLanguage(f"{upstream.model.id} answered in {self.judged.tag}, not in {wanted.tag}")
        elif wrong:
            self.discarded = self._paid(upstream, body, self.judged)
            await self._send_held(held, decision)
            return
        else:
            self.discarded = self._paid(held.upstream, held.body, held.judged)
        await self._send_whole(upstream, body, status, content_type, decision)

    def _may_ask_again(self, upstream: Upstream, parsed: Parsed, decision: Decision) -> bool:
        """Whether the next model may be asked where this answer is in a wrong language."""
        worker, ranking = self.worker, decision.ranking
        if not worker.fleet.routing.retry_wrong_language or parsed.stream or decision.mode is not Mode.AUTO:
            return False
        following = ranking.index(upstream.model.id) + 1
        if following >= len(ranking) or self.attempts >= worker.settings.retry.max_attempts:
            return False
        return worker.upstreams[ranking[following]].state.healthy

    def _paid(self, upstream: Upstream, body: bytes, judged: Judged) -> Discarded:
        """The account of an answer that is not sent."""
        _, usage = edit_body(body, self._price(upstream))
        return Discarded(upstream.model.id, usage, self.nano_usd if usage else 0, judged)

    async def _send_held(self, held: Held, decision: Decision) -> None:
        """Sends the first answer after all: the second model failed, or did no better."""
        self.model = held.upstream.model.id
        self.judged, self.reply = held.judged, None
        await self._send_whole(held.upstream, held.body, held.status, held.content_type, decision)

    async def _send_whole(
        self, upstream: Upstream, body: bytes, status: int, content_type: bytes, decision: Decision
    ) -> None:
        body, self.usage = edit_body(body, self._price(upstream))
        self.started = True
        self.status = status
        headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            *self._decision_headers(decision),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    async def _stream(
        self, upstream: Upstream, exchange: Exchange, first: bytes, parsed: Parsed, decision: Decision
    ) -> None:
        """Passes events on as they come. An error after the first byte becomes an event, never a silent end."""
        editor = StreamEditor(parsed.endpoint, parsed.include_usage, self._price(upstream))
        send = self.send
        data = first
        failed: ParlanceError | None = None
        heard = tap = ReplyTap(parsed.endpoint) if checkable(parsed, decision.language) else None
        try:
            while data:
                out = editor.feed(data)
                if out:
                    if not self.started:
                        await self._start_stream(upstream, exchange, decision)
                    await send({"type": "http.response.body", "body": out, "more_body": True})
                    if tap is not None and not tap.add(out):
                        tap = None
                if editor.failed is not None:
                    raise editor.failed
                data = await exchange.read()
            rest = editor.rest()
            if editor.failed is not None:
                raise editor.failed
            if not self.started:
                if not rest:
                    raise errors.Unavailable(f"{upstream.model.id} ended its answer before it began")
                await self._start_stream(upstream, exchange, decision)
            await send({"type": "http.response.body", "body": rest, "more_body": False})
        except ParlanceError as error:
            failed = error
        self._account(upstream, editor, decision)
        if heard is not None:
            self.reply = heard.text
        if failed is not None:
            raise failed

    async def _start_stream(self, upstream: Upstream, exchange: Exchange, decision: Decision) -> None:
        self.started = True
        self.status = exchange.status
        self.first_byte_s = perf_counter() - self.arrived
        headers = [(b"content-type", exchange.content_type), *_STREAM_HEADERS, *self._decision_headers(decision)]
        await self.send({"type": "http.response.start", "status": exchange.status, "headers": headers})

    def _account(self, upstream: Upstream, editor: StreamEditor, decision: Decision) -> None:
        """Usage as the engine said it; for a stream that was cut, the events that came are the best count there is."""
        if editor.usage is None and editor.events:
            expected = next((c for c in decision.candidates if c.model == upstream.model.id), None)
            prompt, cached = (expected.input_tokens, expected.cached_tokens) if expected is not None else (0, 0)
            editor.usage = Usage(prompt, cached, editor.events, estimated=True)
        if editor.usage is not None:  # also where the client did not ask for it, and its chunk was left out
            self._price(upstream)(editor.usage)
        self.usage = editor.usage

    def _price(self, upstream: Upstream) -> Callable[[Usage], int]:
        def price(usage: Usage) -> int:
            self.nano_usd = exact_cost_nano_usd(
                upstream.price, usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens
            )
            if self.discarded is not None:
                self.nano_usd += self.discarded.nano_usd
            return self.nano_usd

        return price

    def _decision_headers(self, decision: Decision) -> Headers:
        return [
            (b"x-request-id", self.request_id.encode()),
            (b"x-parlance-model", (self.model or "").encode()),
            (b"x-parlance-language", decision.language.tag.encode("ascii", "replace")),
            (b"x-parlance-decision-id", self.decision_id.encode()),
            (b"x-parlance-reason", decision.reason_code.encode()),
        ]

    async def _tell(self, error: ParlanceError) -> None:
        """The error to the client: as a response, or as the last event of a stream that had begun."""
        if self.left or isinstance(error, ClientLeft):
            self.status = 499
            return
        self.worker.instruments.refused(error.code)
        if self.started:
            event = error_event(error, self.endpoint, self.request_id)
            await self.send({"type": "http.response.body", "body": event, "more_body": False})
            return
        self.status = error.status
        await refuse(self.send, error, self.endpoint, self.request_id)

    def _record(self, error: ParlanceError | None) -> None:
        """Leaves what metrics and log are made from, and which model has read the conversation."""
        if self.usage is not None and self.model is not None and self.parsed is not None:
            self.worker.prefixes.read(self.caller.tenant, self.parsed.prefixes, self.model, monotonic())
        self.worker.book.add(
            Finished(
                time(),
                self.request_id,
                self.decision_id,
                self.endpoint,
                self.status,
                self.caller,
                self.attempts,
                self.model,
                self.chosen,
                perf_counter() - self.arrived,
                self.first_byte_s,
                self.usage,
                self.nano_usd,
                error,
                self.reply,
                self.judged,
                self.discarded,
            )
        )
