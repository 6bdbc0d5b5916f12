"""What is counted of a request when it is over: once, in a batch, from the record that it left."""

from __future__ import annotations

from observability.labels import OTHER
from serve.errors import UpstreamTimeout
from serve.fleet import Fleet
from serve.gateway.instruments import bounds
from serve.gateway.instruments.families import NONE
from serve.gateway.instruments.instruments import Instruments
from serve.gateway.moments import Moments
from serve.gateway.record import Finished
from serve.gateway.stream import Usage
from serve.routing.cost import rates
from serve.routing.records import Candidate, Decision
from serve.routing.reply import Judged, Verdict
from serve.routing.table import TEMPLATED
from serve.routing.words import word

NANO_PER_MTOK = 1e3  # a USD per million tokens is so many nano-USD a token


class Tally:
    """Counts finished requests into the worker's instruments."""

    def __init__(self, instruments: Instruments, fleet: Fleet) -> None:
        self._to = instruments
        self._reference = fleet.reference
        price = rates(fleet.model(fleet.reference))
        self._into = price.input_usd_per_mtok * NANO_PER_MTOK
        self._again = (price.cached_input_usd_per_mtok or 0.0) * NANO_PER_MTOK
        self._out = price.output_usd_per_mtok * NANO_PER_MTOK
        self._models = {model.id: model for model in fleet.models}
        self._per_model = {
            model: tuple(times.child((model,)) for times in (instruments.duration, instruments.ttft, instruments.queue))
            for model in self._models
        }
        self._decision = instruments.decision.child(NONE)
        self._overhead = instruments.overhead.child(NONE)
        # 1 / characters of a word read, by model and language, and 1 / tokens of one written.
        self._words: dict[tuple[str, str], tuple[float, float]] = {}

    def count(self, done: Finished) -> None:
        """One request is over."""
        to, model, caller = self._to, done.model, done.caller
        decision, status = done.decision, done.status or 500
        language = to.language(decision.language.tag) if decision is not None else OTHER
        reason = decision.reason_code if decision is not None else "none"
        to.requests.add((model or bounds.NO_MODEL, language, to.classes.of(caller.tenant_class), str(status), reason))
        tenant = to.tenants.of(caller.tenant)
        to.tenant_requests.add((tenant, self._outcome(done, status)))
        if done.nano_usd:
            to.tenant_cost.add((tenant,), done.nano_usd)
        own, reference = self._decided(done, decision) if decision is not None else (None, None)
        if model is None:
            return
        self._timed(done, model, language)
        if decision is None:
            return
        if done.usage is not None:
            sent = done.nano_usd - (done.discarded.nano_usd if done.discarded is not None else 0)
            self._paid(done, done.usage, sent, model, language, own, reference)
        if done.discarded is not None:
            self._thrown_away(done, language)
        if done.judged is not None:
            self._checked(done.judged, model, decision)

    def _outcome(self, done: Finished, status: int) -> str:
        """What the tenant has of it; answers that broke off are counted by cause."""
        error = done.error
        if status == 499:
            slow = error is not None and error.code == bounds.SLOW_CLIENT
            cause = bounds.SLOW_CLIENT if slow else bounds.CLIENT_LEFT
            self._to.aborts.add((done.model or bounds.NO_MODEL, cause))
            return bounds.LEFT
        if status >= 400:
            return bounds.FAILED if status >= 500 else bounds.REFUSED
        if error is None:
            return bounds.ANSWERED
        cause = bounds.TIMEOUT if isinstance(error, UpstreamTimeout) else bounds.ENGINE_FAILED
        self._to.aborts.add((done.model or bounds.NO_MODEL, cause))
        return bounds.FAILED

    def _decided(self, done: Finished, decision: Decision) -> tuple[Candidate | None, Candidate | None]:
        """Counts the choice. The model that answered and the reference, as the decision saw them."""
        to, chosen = self._to, done.chosen
        assert chosen is not None
        self._decision.observe(chosen.seconds)
        to.language_source.add((decision.language.source,))
        if done.endpoint in TEMPLATED and decision.model is not None:
            cached = chosen.request.cached_characters
            stayed = bounds.STAYED if decision.model in cached else bounds.MOVED
            to.stickiness.add((stayed if cached else bounds.NEW,))
        own = reference = None
        for candidate in decision.candidates:
            if candidate.rejection is not None:
                to.rejections.add((candidate.model, candidate.rejection))
            if candidate.model == done.model:
                own = candidate
            if candidate.model == self._reference:
                reference = candidate
        return own, reference

    def _timed(self, done: Finished, model: str, language: str) -> None:
        duration, ttft, queue = self._per_model[model]
        moments, trace, seconds = done.moments, done.trace_id, done.seconds
        duration.observe(seconds)
        first = done.first_byte_s
        if first is not None:
            ttft.observe(first)
            self._to.language_ttft.child((language,)).observe(first)
        queued, own = queue_s(moments, model), overhead_s(moments, model)
        if queued is not None:
            queue.observe(queued)
        if own is not None:
            self._overhead.observe(own)
        if trace:
            duration.exemplify(seconds, trace, done.at)
            if first is not None:
                ttft.exemplify(first, trace, done.at)
            if own is not None:
                self._overhead.exemplify(own, trace, done.at)

    def _paid(
        self,
        done: Finished,
        usage: Usage,
        nano_usd: int,
        model: str,
        language: str,
        own: Candidate | None,
        reference: Candidate | None,
    ) -> None:
        """Tokens, words, money and quality of the answer that was sent."""
        to, pair = self._to, (model, language)
        self._tokens(usage, model, language)
        to.cost.add(pair, nano_usd)
        decision, chosen = done.decision, done.chosen
        if decision is None or chosen is None or own is None:
            return
        read, _ = self._words.get(pair) or self._word(pair)
        answer = (model, to.language(decision.language.answer))
        _, written = self._words.get(answer) or self._word(answer)
        to.words.add((model, language, "input"), chosen.request.characters * read)
        to.words.add((model, language, "output"), usage.completion_tokens * written)
        if reference is not None:
            to.reference_cost.add(pair, nano_usd if own is reference else self._on_reference(usage, own, reference))
        if own.quality is not None and done.error is None:
            to.quality_known.add(pair)
            to.quality_given_up.add(pair, max(-own.quality, 0.0))

    def _on_reference(self, usage: Usage, own: Candidate, reference: Candidate) -> int:
        """Nano-USD of the same answer there: the counted tokens, times what was expected of it for each expected here.
        What was cached here would have been cached there, had the conversation been there."""
        more_in = reference.input_tokens / max(own.input_tokens, 1)
        more_out = reference.output_tokens / max(own.output_tokens, 1)
        fresh = (usage.prompt_tokens - usage.cached_tokens) * self._into + usage.cached_tokens * self._again
        return round(fresh * more_in + usage.completion_tokens * self._out * more_out)

    def _tokens(self, usage: Usage, model: str, language: str) -> None:
        tokens = self._to.tokens
        tokens.add((model, language, "input"), usage.prompt_tokens)
        tokens.add((model, language, "output"), usage.completion_tokens)
        if usage.cached_tokens:
            tokens.add((model, language, "cached_input"), usage.cached_tokens)

    def _word(self, pair: tuple[str, str]) -> tuple[float, float]:
        one = word(self._models[pair[0]], pair[1])
        found = self._words[pair] = 1 / one.characters, 1 / one.written_tokens
        return found

    def _thrown_away(self, done: Finished, language: str) -> None:
        """An answer that was paid and not sent: its tokens and its cost belong to the model that gave it."""
        discarded, decision = done.discarded, done.decision
        assert discarded is not None
        assert decision is not None
        if discarded.usage is not None:
            self._tokens(discarded.usage, discarded.model, language)
        self._to.cost.add((discarded.model, language), discarded.nano_usd)
        self._checked(discarded.judged, discarded.model, decision)

    def _checked(self, judged: Judged, model: str, decision: Decision) -> None:
        if judged.verdict is not Verdict.UNKNOWN:
            labels = (model, self._to.language(decision.language.answer))
            self._to.checked.add(labels)
            if judged.verdict is Verdict.WRONG:
                self._to.wrong_language.add(labels)


def queue_s(moments: Moments, model: str) -> float | None:
    """From the decision until the request was on a connection to the engine that answered; None: none did."""
    for attempt in reversed(moments.attempts):
        if attempt.model == model:
            return max(attempt.sent - moments.decided, 0.0) if attempt.heard else None
    return None


def overhead_s(moments: Moments, model: str) -> float | None:
    """Our own share of the time to the first byte; None: there was none, or another model was asked after the one that
    answered (its time is neither ours nor the queue's)."""
    last = moments.attempts[-1] if moments.attempts else None
    if last is None or last.model != model or not last.heard or not moments.replied:
        return None
    return max(moments.decided - moments.read, 0.0) + max(moments.replied - last.heard, 0.0)
