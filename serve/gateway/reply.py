"""The answer on its way to the client: whole or streamed, with its price, its headers and the check of its language."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING

from serve import errors
from serve.errors import ParlanceError
from serve.gateway.body import Parsed
from serve.gateway.exchange import Exchange
from serve.gateway.record import Discarded
from serve.gateway.reply_check import Held, ReplyTap, WrongLanguage, checkable, text_of
from serve.gateway.stream import StreamEditor, Usage, edit_body
from serve.gateway.upstream import Upstream
from serve.gateway.wire import JSON, Headers
from serve.routing.cost import exact_cost_nano_usd
from serve.routing.records import Decision, Mode
from serve.routing.reply import Judged, Verdict, judge, wanted_of

if TYPE_CHECKING:
    from serve.gateway.job import Job

_STREAM_HEADERS: Headers = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class Reply:
    """What one job answers. `words` are the first of them, for the check of their language; `held` is an answer in a
    wrong language that waits for a better one, `discarded` one that was paid and not sent."""

    __slots__ = (
        "_job",
        "discarded",
        "held",
        "judged",
        "model",
        "nano_usd",
        "started",
        "status",
        "usage",
        "words",
    )

    def __init__(self, job: Job) -> None:
        self._job = job
        self.model: str | None = None  # that answers, or was asked last
        self.started = False
        self.status = 0
        self.usage: Usage | None = None
        self.nano_usd = 0
        self.words: str | None = None
        self.judged: Judged | None = None
        self.held: Held | None = None
        self.discarded: Discarded | None = None

    async def whole(
        self, upstream: Upstream, body: bytes, exchange: Exchange, parsed: Parsed, decision: Decision
    ) -> None:
        """Sends an answer that is not streamed. Raises WrongLanguage where the next model is to be asked first."""
        status, content_type = exchange.status, exchange.content_type or JSON[1]
        held, wanted = self.held, None
        if checkable(parsed, decision.language):
            self.words = text_of(body)
            if held is not None or self._may_ask_again(upstream, parsed, decision):
                wanted = wanted_of(decision.language)
        if wanted is None:
            await self._send_whole(upstream, body, status, content_type, decision)
            return
        self.judged = judge(self.words or "", wanted)
        wrong = self.judged.verdict is Verdict.WRONG
        if held is None:
            if wrong and self._job.worker.retries.take():
                self.held = Held(upstream, body, status, content_type, self.judged)
                raise WrongLanguage(f"{upstream.model.id} answered in {self.judged.tag}, not in {wanted.tag}")
        elif wrong:
            self.discarded = self._paid(upstream, body, self.judged)
            await self.send_held(held, decision)
            return
        else:
            self.discarded = self._paid(held.upstream, held.body, held.judged)
        await self._send_whole(upstream, body, status, content_type, decision)

    def _may_ask_again(self, upstream: Upstream, parsed: Parsed, decision: Decision) -> bool:
        """Whether the next model may be asked where this answer is in a wrong language."""
        worker, ranking = self._job.worker, decision.ranking
        if not worker.fleet.routing.retry_wrong_language or parsed.stream or decision.mode is not Mode.AUTO:
            return False
        following = ranking.index(upstream.model.id) + 1
        if following >= len(ranking) or self._job.attempts >= worker.settings.retry.max_attempts:
            return False
        return worker.upstreams[ranking[following]].state.healthy

    def _paid(self, upstream: Upstream, body: bytes, judged: Judged) -> Discarded:
        """The account of an answer that is not sent."""
        _, usage = edit_body(body, self._price(upstream))
        return Discarded(upstream.model.id, usage, self.nano_usd if usage else 0, judged)

    async def send_held(self, held: Held, decision: Decision) -> None:
        """Sends the first answer after all: the second model failed, or did no better."""
        self.model = held.upstream.model.id
        self.judged, self.words = held.judged, None
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
        self._job.moments.replied = perf_counter()
        await self._job.send({"type": "http.response.start", "status": status, "headers": headers})
        await self._job.send({"type": "http.response.body", "body": body})

    async def stream(
        self, upstream: Upstream, exchange: Exchange, first: bytes, parsed: Parsed, decision: Decision
    ) -> None:
        """Passes events on as they come. An error after the first byte becomes an event, never a silent end."""
        editor = StreamEditor(parsed.endpoint, parsed.include_usage, self._price(upstream))
        send = self._job.send
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
            self.words = heard.text
        if failed is not None:
            raise failed

    async def _start_stream(self, upstream: Upstream, exchange: Exchange, decision: Decision) -> None:
        self.started = True
        self.status = exchange.status
        self._job.moments.first = self._job.moments.replied = perf_counter()
        headers = [(b"content-type", exchange.content_type), *_STREAM_HEADERS, *self._decision_headers(decision)]
        await self._job.send({"type": "http.response.start", "status": exchange.status, "headers": headers})

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
            (b"x-request-id", self._job.request_id.encode()),
            (b"x-parlance-model", (self.model or "").encode()),
            (b"x-parlance-language", decision.language.tag.encode("ascii", "replace")),
            (b"x-parlance-decision-id", self._job.decision_id.encode()),
            (b"x-parlance-reason", decision.reason_code.encode()),
        ]
