"""What is counted of a request when it is over: once, in a batch, from the record that it left."""

from __future__ import annotations

from observability.labels import OTHER
from serve.errors import UpstreamTimeout
from serve.fleet import Fleet
from serve.gateway.choice import Chosen
from serve.gateway.instruments import bounds
from serve.gateway.instruments.instruments import Instruments
from serve.gateway.moments import Moments
from serve.gateway.record import Discarded, Finished
from serve.gateway.stream import Usage
from serve.routing.cost import rates
from serve.routing.records import NOT_UP, Candidate, Decision, LanguageSource, Mode, Rejection
from serve.routing.reply import Judged, Verdict
from serve.routing.table import TEMPLATED
from serve.routing.words import word

NANO_PER_MTOK = 1e3  # a USD per million tokens is so many nano-USD a token


class _Model:
    """The children of one model."""

    __slots__ = ("duration", "queue", "rejected", "tpot", "ttft")

    def __init__(self, to: Instruments, model: str) -> None:
        self.duration, self.ttft, self.tpot, self.queue = (
            times.child((model,)) for times in (to.duration, to.ttft, to.tpot, to.queue)
        )  # fmt: skip
        self.rejected = {code.value: to.rejections.child((model, code.value)) for code in Rejection}


class _Pair:
    """The children of one model and prompt language, and how many words a character of it is."""

    __slots__ = ("cached", "cost", "given_up", "input", "known", "output", "read", "reference", "words", "written")

    def __init__(self, to: Instruments, model: str, language: str, words: float) -> None:
        pair = (model, language)
        self.input, self.output, self.cached = (
            to.tokens.child((*pair, direction)) for direction in ("input", "output", "cached_input")
        )
        self.read, self.written = (to.words.child((*pair, direction)) for direction in ("input", "output"))
        self.cost, self.reference = to.cost.child(pair), to.reference_cost.child(pair)
        self.known, self.given_up = to.quality_known.child(pair), to.quality_given_up.child(pair)
        self.words = words

    def used(self, usage: Usage) -> None:
        """Counts an answer's tokens."""
        self.input.value += usage.prompt_tokens
        self.output.value += usage.completion_tokens
        self.cached.value += usage.cached_tokens


class Tally:
    """Counts finished requests into the worker's instruments. Children are looked up once, and held."""

    def __init__(self, instruments: Instruments, fleet: Fleet) -> None:
        to = self._to = instruments
        self._reference = fleet.reference
        price = rates(fleet.model(fleet.reference))
        self._into = price.input_usd_per_mtok * NANO_PER_MTOK
        self._again = (price.cached_input_usd_per_mtok or 0.0) * NANO_PER_MTOK
        self._out = price.output_usd_per_mtok * NANO_PER_MTOK
        self._fleet = {model.id: model for model in fleet.models}
        self._models = {model: _Model(to, model) for model in self._fleet}
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._words_a_token: dict[tuple[str, str], float] = {}
        self._tenants = {
            tenant: ({outcome: to.tenant_requests.child((tenant, outcome)) for outcome in bounds.OUTCOMES},
                     to.tenant_cost.child((tenant,)))
            for tenant in (*to.tenants.names, OTHER)
        }  # fmt: skip
        self._sources = {source.value: to.language_source.child((source.value,)) for source in LanguageSource}
        self._turns = {turn: to.stickiness.child((turn,)) for turn in (bounds.STAYED, bounds.MOVED, bounds.NEW)}
        self._decision, self._overhead = to.decision.child(), to.overhead.child()
        self._statuses: dict[int, str] = {}

    def count(self, done: Finished) -> None:
        """One request is over."""
        to, model, caller, chosen = self._to, done.model, done.caller, done.chosen
        decision = chosen.decision if chosen is not None else None
        language = to.language(decision.language.tag) if decision is not None else OTHER
        reason = decision.reason_code if decision is not None else "none"
        status = done.status or 500
        to.requests.child(
            (
                model or bounds.NO_MODEL,
                language,
                to.classes.of(caller.tenant_class),
                self._statuses.get(status) or self._status(status),
                reason,
            )
        ).value += 1
        outcomes, cost = self._tenants[to.tenants.of(caller.tenant)]
        outcomes[self._outcome(done, status)].value += 1
        cost.value += done.nano_usd
        if chosen is None or decision is None:
            return
        own, reference = self._decided(done, chosen, decision)
        if model is None:
            if status == 503 and decision.model is not None:  # asked for by name, and no replica was there
                self._models[decision.model].rejected[Rejection.UNHEALTHY].value += 1
            return
        self._timed(done, model, language)
        if done.usage is not None and own is not None:
            self._paid(done, chosen, done.usage, language, own, reference)
        if done.discarded is not None:
            self._thrown_away(done.discarded, decision, language)
        if done.judged is not None:
            self._checked(done.judged, model, decision)

    def _status(self, status: int) -> str:
        found = self._statuses[status] = str(status)
        return found

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

    def _decided(self, done: Finished, chosen: Chosen, decision: Decision) -> tuple[Candidate | None, Candidate | None]:
        """Counts the choice. The model that answered and the reference, as the decision saw them."""
        self._decision.observe(chosen.seconds)
        self._sources[decision.language.source].value += 1
        if done.endpoint in TEMPLATED and decision.model is not None:
            cached = chosen.request.cached_characters
            stayed = bounds.STAYED if decision.model in cached else bounds.MOVED
            self._turns[stayed if cached else bounds.NEW].value += 1
        own = reference = None
        spilled = False
        answered, wanted, models = done.model, self._reference, self._models
        for candidate in decision.candidates:
            name = candidate.model
            if candidate.rejection is not None:
                models[name].rejected[candidate.rejection].value += 1
                spilled = spilled or candidate.rejection in NOT_UP
            if name == answered:
                own = candidate
            if name == wanted:
                reference = candidate
        if spilled and decision.mode is Mode.AUTO and (first := spilled_from(decision, wanted)) is not None:
            self._to.spilled.add((first,))
        return own, reference

    def _timed(self, done: Finished, model: str, language: str) -> None:
        to, moments, trace = self._models[model], done.moments, done.trace_id
        seconds = moments.ended - moments.arrived
        to.duration.observe(seconds)
        first = done.first_byte_s
        if first is not None:
            to.ttft.observe(first)
            self._to.language_ttft.child((language,)).observe(first)
            written = self._written(done)
            if written > 1:
                to.tpot.observe((seconds - first) / (written - 1))
        queued, own = queue_s(moments, model), overhead_s(moments, model)
        if queued is not None:
            to.queue.observe(queued)
        if own is not None:
            self._overhead.observe(own)
        if trace:
            to.duration.exemplify(seconds, trace, done.at)
            if first is not None:
                to.ttft.exemplify(first, trace, done.at)
            if own is not None:
                self._overhead.exemplify(own, trace, done.at)

    def _written(self, done: Finished) -> float:
        """Tokens of each choice of a whole answer; 0 where they are not known."""
        if done.usage is None or done.error is not None or done.chosen is None or done.status != 200:
            return 0.0
        return done.usage.completion_tokens / max(done.chosen.request.choices, 1)

    def _paid(
        self,
        done: Finished,
        chosen: Chosen,
        usage: Usage,
        language: str,
        own: Candidate,
        reference: Candidate | None,
    ) -> None:
        """Tokens, words, money and quality of the answer that was sent."""
        model = own.model
        pair = self._pair(model, language)
        pair.used(usage)
        nano_usd = done.nano_usd - (done.discarded.nano_usd if done.discarded is not None else 0)
        pair.cost.value += nano_usd
        pair.read.value += chosen.request.characters * pair.words
        answer = self._to.language(chosen.decision.language.answer)
        pair.written.value += usage.completion_tokens * self._a_token(model, answer)
        if own is reference:
            pair.reference.value += nano_usd
        elif reference is not None:
            pair.reference.value += self._on_reference(usage, own, reference)
        if own.quality is not None and done.error is None:
            pair.known.value += 1
            if own.quality < 0:
                pair.given_up.value -= own.quality

    def _on_reference(self, usage: Usage, own: Candidate, reference: Candidate) -> int:
        """Nano-USD of the same answer there: the counted tokens, times what was expected of it for each expected here.
        What was cached here would have been cached there, had the conversation been there."""
        more_in = reference.input_tokens / max(own.input_tokens, 1)
        more_out = reference.output_tokens / max(own.output_tokens, 1)
        fresh = (usage.prompt_tokens - usage.cached_tokens) * self._into + usage.cached_tokens * self._again
        return round(fresh * more_in + usage.completion_tokens * self._out * more_out)

    def _pair(self, model: str, language: str) -> _Pair:
        found = self._pairs.get((model, language))
        if found is None:
            words = 1 / word(self._fleet[model], language).characters
            found = self._pairs[(model, language)] = _Pair(self._to, model, language, words)
        return found

    def _a_token(self, model: str, language: str) -> float:
        """Words that a token of an answer in that language is."""
        found = self._words_a_token.get((model, language))
        if found is None:
            found = 1 / word(self._fleet[model], language).written_tokens
            self._words_a_token[(model, language)] = found
        return found

    def _thrown_away(self, discarded: Discarded, decision: Decision, language: str) -> None:
        """An answer that was paid and not sent: its tokens and its cost belong to the model that gave it."""
        pair = self._pair(discarded.model, language)
        if discarded.usage is not None:
            pair.used(discarded.usage)
        pair.cost.value += discarded.nano_usd
        self._checked(discarded.judged, discarded.model, decision)

    def _checked(self, judged: Judged, model: str, decision: Decision) -> None:
        if judged.verdict is not Verdict.UNKNOWN:
            labels = (model, self._to.language(decision.language.answer))
            self._to.checked.child(labels).value += 1
            if judged.verdict is Verdict.WRONG:
                self._to.wrong_language.add(labels)


def spilled_from(decision: Decision, reference: str) -> str | None:
    """The model that would have had the request to `auto` that another one took, had it been up; None: there is none.

    Where a rule had to be given up, that is the reference, or else the cheapest that would have met it.
    """
    if decision.model is None:
        return None
    down = [one for one in decision.candidates if one.rejection in NOT_UP]
    if not decision.fallback:
        up = [one.cost_usd for one in decision.candidates if one.rejection is None]
        down = [one for one in down if one.cost_usd < min(up)]
    first = min(
        down,
        key=lambda one: (decision.fallback and one.model != reference, one.cost_usd, one.model),
        default=None,
    )
    return None if first is None else first.model


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
