"""A request's life: read, decide, dispatch with retries before the first byte, pass on, settle."""

from __future__ import annotations

import asyncio
import random
from time import monotonic, perf_counter, time
from typing import TYPE_CHECKING

from serve import errors
from serve.errors import ParlanceError
from serve.gateway.auth import ANYONE, Caller
from serve.gateway.body import Parsed, parse
from serve.gateway.choice import Chosen, choose
from serve.gateway.engine_errors import translate
from serve.gateway.exchange import Exchange
from serve.gateway.instruments.bounds import CLIENT_LEFT, LEFT, SLOW_CLIENT
from serve.gateway.ledger.account import Hold
from serve.gateway.moments import Attempt, Moments
from serve.gateway.patience import serve
from serve.gateway.protocol import SCOPE_KEY, GatewayProtocol
from serve.gateway.reading import read_all, read_body
from serve.gateway.record import Finished
from serve.gateway.reply import Reply
from serve.gateway.reply_check import WrongLanguage
from serve.gateway.trace_context import TraceContext, new_span_id
from serve.gateway.upstream import Upstream, engine_down
from serve.gateway.waking import Place
from serve.gateway.wire import Receive, Scope, Send, error_event, refuse
from serve.routing.records import Decision, Endpoint, Mode

if TYPE_CHECKING:
    from serve.gateway.worker import Worker

MAX_WHOLE_ANSWER = 64 * 1024 * 1024  # bytes of an answer that is not streamed
MAX_ERROR_BODY = 1024 * 1024


def new_id() -> str:
    """A request's name in logs, headers and engines: unique, and no secret."""
    return f"req-{random.getrandbits(96):024x}"


class ClientLeft(ParlanceError):
    """The client closed its connection: nobody is there to tell."""

    status = 499
    code = CLIENT_LEFT


class Job:
    """One request to one of the model endpoints."""

    __slots__ = (
        "attempts",
        "caller",
        "chosen",
        "decision_id",
        "endpoint",
        "exchange",
        "headers",
        "hold",
        "left",
        "moments",
        "parsed",
        "place",
        "reply",
        "request_id",
        "scope",
        "send",
        "trace",
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
        self.moments = Moments(perf_counter())
        self.trace: TraceContext | None = None
        if worker.traces is not None:
            self.trace = worker.traces.begin(scope["headers"], self.moments.arrived)
        self.caller: Caller = ANYONE
        self.parsed: Parsed | None = None
        self.chosen: Chosen | None = None
        self.exchange: Exchange | None = None
        self.hold: Hold | None = None  # None: the tenant has no budget
        self.place: Place | None = None  # while it is held for a model that wakes
        self.left = False
        self.attempts = 0
        self.reply = Reply(self)

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
            if self.left:  # all of it had come from the engine, and not all of it had gone out
                raise self._gone()
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
            self.exchange.fail(self._gone())
        if self.place is not None:
            self.place.give_up(LEFT, self._gone())

    def _gone(self) -> ClientLeft:
        connection: GatewayProtocol | None = self.scope.get(SCOPE_KEY)
        if connection is not None and connection.too_slow:
            return ClientLeft("the client read nothing of its answer for too long", code=SLOW_CLIENT)
        return ClientLeft("the client closed the connection")

    def _opened(self, exchange: Exchange) -> None:
        """An exchange exists: whoever wants to end it finds it here."""
        self.exchange = exchange
        if self.parsed is not None and self.parsed.stream and self.reply.model is not None:
            exchange.gaps = self.worker.instruments.itl.child((self.reply.model,))
        if self.left:
            exchange.fail(self._gone())

    def entered(self, place: Place) -> None:
        """It is held: a client that leaves gives its place up."""
        self.place = place
        if self.left:
            place.give_up(LEFT, self._gone())

    async def _answer(self, receive: Receive) -> None:
        worker = self.worker
        self.caller = worker.keyring.identify(self.headers)
        if worker.in_flight > worker.settings.limits.in_flight:
            raise errors.Overloaded("the gateway has all the requests that it may hold", retry_after_s=1)
        limits = worker.settings.limits
        body = await read_body(receive, self.headers, limits)
        self.moments.read = perf_counter()
        parsed = self.parsed = parse(body, self.endpoint, self.headers, limits)
        decision = self.decide(parsed)
        account = worker.ledger.of(self.caller.tenant)
        if account is not None:
            self.hold = Hold(account, len(body))
        await serve(self, parsed, decision)

    def decide(self, parsed: Parsed) -> Decision:
        """The choice as things are now. What lies between the first one and the engine is waiting, not our own time."""
        self.chosen = choose(self.worker, parsed, self.caller)
        self.moments.decided = self.moments.decided or perf_counter()
        return self.chosen.decision

    async def dispatch(self, parsed: Parsed, decision: Decision) -> None:
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
            try:
                if self.hold is not None:
                    paid = self.reply.held is not None
                    await worker.ledger.reserve(self.hold, upstream, parsed, decision, beside=paid)
                self.attempts += 1
                return await self._attempt(upstream, parsed, decision)
            except WrongLanguage:
                worker.instruments.retried(upstream.model.id, WrongLanguage.code)
                position += 1
            except ParlanceError as failed:
                if self.reply.held is not None and not (self.reply.started or self.left):
                    return await self.reply.send_held(self.reply.held, decision)
                if not isinstance(failed, (errors.Unavailable, errors.Overloaded)):
                    raise
                if self.reply.started or self.left:
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
        self.reply.model = upstream.model.id
        gauge = upstream.state
        gauge.in_flight += 1
        attempt = Attempt(upstream.model.id, perf_counter())
        if self.trace is not None:
            attempt.span_id = new_span_id()
            extra = self.trace.header_lines(attempt.span_id, own)
        else:
            traceparent = self.headers.get(b"traceparent", b"")
            extra = b"traceparent: %s\r\n" % traceparent if len(traceparent) == 55 and traceparent.isascii() else b""
        self.moments.attempts.append(attempt)
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
            attempt.sent = perf_counter()
            upstream.waiting.add(exchange)
            try:
                await exchange.start()
                if exchange.status >= 400:
                    raise translate(exchange.status, await read_all(exchange, MAX_ERROR_BODY), upstream.model.id)
                if parsed.stream and exchange.content_type.startswith(b"text/event-stream"):
                    first = await exchange.read()
                    attempt.heard = perf_counter()
                    upstream.waits.first_byte(exchange.last - sent, exchange.last)
                else:
                    body = await read_all(exchange, MAX_WHOLE_ANSWER)
                    attempt.heard = perf_counter()
                    return await self.reply.whole(upstream, body, exchange, parsed, decision)
            finally:
                upstream.waiting.discard(exchange)
            exchange.limit_s = timeouts.idle_s
            await self.reply.stream(upstream, exchange, first, parsed, decision)
        except ParlanceError as error:
            attempt.error = error.code
            raise
        finally:
            attempt.ended = perf_counter()
            gauge.in_flight -= 1
            if exchange is not None:
                worker.active.discard(exchange)
                # Not whole yet: something above failed. Giving the connection up tells the engine to stop.
                exchange.fail(ClientLeft("given up"))
            self.exchange = None

    async def _tell(self, error: ParlanceError) -> None:
        """The error to the client: as a response, or as the last event of a stream that had begun."""
        if self.left or isinstance(error, ClientLeft):
            self.reply.status = 499
            return
        self.worker.instruments.refused(error)
        if self.reply.started:
            event = error_event(error, self.endpoint, self.request_id)
            await self.send({"type": "http.response.body", "body": event, "more_body": False})
            return
        self.reply.status = error.status
        await refuse(self.send, error, self.endpoint, self.request_id)

    def _record(self, error: ParlanceError | None) -> None:
        """Leaves what metrics and log are made from, and which model has read the conversation."""
        reply, moments = self.reply, self.moments
        moments.ended = perf_counter()
        if reply.usage is not None and reply.model is not None and self.parsed is not None:
            self.worker.prefixes.read(self.caller.tenant, self.parsed.prefixes, reply.model, monotonic())
        done = Finished(
            time(),
            self.request_id,
            self.decision_id,
            self.endpoint,
            reply.status,
            self.caller,
            self.attempts,
            reply.model,
            self.chosen,
            moments,
            reply.usage,
            reply.nano_usd,
            error,
            reply.words,
            reply.judged,
            reply.discarded,
            trace_id=self.trace.hex_id if self.trace is not None and self.trace.sampled else "",
            trace=self.trace,
        )
        self.worker.ledger.settle(done, self.hold)
        self.worker.book.add(done)
