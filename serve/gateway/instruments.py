"""The gateway's counters, with label values that are bounded by the description and never by what a client sends."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from observability import metrics
from serve.fleet import Fleet
from serve.gateway.record import Finished
from serve.routing.records import Rejection
from serve.routing.reply import Judged, Verdict
from serve.routing.tags import members

NO_MODEL = "none"


def languages_of(fleet: Fleet) -> frozenset[str]:
    """The languages that any model of the fleet declares or was measured in: the values of a `language` label."""
    tags = {tag for model in fleet.models for tag in (*model.card.languages_declared, *model.card.quality)}
    return frozenset(member for tag in tags for member in members(tag))


class Instruments:
    """Everything that one gateway worker counts, on one thread."""

    def __init__(self, fleet: Fleet) -> None:
        self.registry = CollectorRegistry()
        self._languages = languages_of(fleet)
        r = self.registry
        self.requests = metrics.REQUESTS.counter(r)
        self.ttft = metrics.TTFT.histogram(r)
        self.duration = metrics.DURATION.histogram(r)
        self.decision = metrics.DECISION.histogram(r)
        self.tokens = metrics.TOKENS.counter(r)
        self.cost = metrics.COST.counter(r)
        self.retries = metrics.RETRIES.counter(r)
        self.rejections = metrics.REJECTIONS.counter(r)
        self.errors = metrics.ERRORS.counter(r)
        self.in_flight = metrics.IN_FLIGHT.gauge(r)
        self.healthy = metrics.HEALTHY.gauge(r)
        self.connections = metrics.CONNECTIONS.gauge(r)
        self.token_ratio = metrics.TOKEN_RATIO.gauge(r)
        self.observations = metrics.OBSERVATIONS.counter(r)
        self.answer_tokens = metrics.ANSWER_TOKENS.gauge(r)
        self.price = metrics.PRICE.gauge(r)
        lost = metrics.LOG_LOST.counter(r)
        self._lost = {log: lost.labels(log) for log in ("journal", "decisions")}
        self._lost_before = dict.fromkeys(self._lost, 0)
        self.checked = metrics.REPLIES_CHECKED.counter(r)
        self.wrong_language = metrics.WRONG_LANGUAGE.counter(r)
        for model in fleet.models:  # a panel must not be empty until the first event
            self.in_flight.labels(model.id).set(0)
            self.healthy.labels(model.id).set(0)
            for code in Rejection:
                self.rejections.labels(model.id, code.value)
            for tag in {m for t in (*model.card.languages_declared, *model.card.quality) for m in members(t)}:
                self.checked.labels(model.id, tag)
                self.wrong_language.labels(model.id, tag)
        self._durations = {model.id: self.duration.labels(model.id) for model in fleet.models}
        self._ttfts = {model.id: self.ttft.labels(model.id) for model in fleet.models}
        self._pending: dict[tuple[Counter, tuple[str, ...]], float] = {}

    def _count(self, family: Counter, labels: tuple[str, ...], amount: float = 1) -> None:
        """Adds to a counter when the batch is settled: a dict is three times quicker than a child's lock."""
        key = (family, labels)
        pending = self._pending
        pending[key] = pending.get(key, 0) + amount

    def settle(self) -> None:
        """Brings the counters up to date; called before they are exposed."""
        pending, self._pending = self._pending, {}
        for (family, labels), amount in pending.items():
            family.labels(*labels).inc(amount)

    def language(self, tag: str) -> str:
        """The tag as a label: a hint may name any language, the series may not."""
        return tag if tag in self._languages else "other"

    def count(self, done: Finished) -> None:
        """One request is over."""
        decision, model, usage = done.decision, done.model, done.usage
        language = self.language(decision.language.tag) if decision else "other"
        reason = decision.reason_code if decision else "none"
        labels = (model or NO_MODEL, language, done.caller.tenant_class, str(done.status or 500), reason)
        self._count(self.requests, labels)
        if done.chosen is not None and decision is not None:
            self.decision.observe(done.chosen.seconds)
            for candidate in decision.candidates:
                if candidate.rejection is not None:
                    self._count(self.rejections, (candidate.model, candidate.rejection))
        if model is None:
            return
        self._durations[model].observe(done.seconds)
        if done.first_byte_s is not None:
            self._ttfts[model].observe(done.first_byte_s)
        if usage is not None:
            self._count(self.tokens, (model, language, "input"), usage.prompt_tokens)
            self._count(self.tokens, (model, language, "output"), usage.completion_tokens)
            if usage.cached_tokens:
                self._count(self.tokens, (model, language, "cached_input"), usage.cached_tokens)
            sent = done.nano_usd - (done.discarded.nano_usd if done.discarded else 0)
            self._count(self.cost, (model, language), sent / 1e9)
        self._judged(done, model, language)

    def _judged(self, done: Finished, model: str, language: str) -> None:
        """What is known of the reply's language, and what an answer cost that was not sent for it."""
        decision, discarded = done.decision, done.discarded
        wanted = self.language(decision.language.answer) if decision else "other"
        if discarded is not None:
            if discarded.usage is not None:
                self._count(self.tokens, (discarded.model, language, "input"), discarded.usage.prompt_tokens)
                self._count(self.tokens, (discarded.model, language, "output"), discarded.usage.completion_tokens)
            self._count(self.cost, (discarded.model, language), discarded.nano_usd / 1e9)
            self._checked(discarded.judged, discarded.model, wanted)
        if done.judged is not None:
            self._checked(done.judged, model, wanted)

    def _checked(self, judged: Judged, model: str, wanted: str) -> None:
        if judged.verdict is not Verdict.UNKNOWN:
            self._count(self.checked, (model, wanted))
            if judged.verdict is Verdict.WRONG:
                self._count(self.wrong_language, (model, wanted))

    def lost(self, log: str, total: int) -> None:
        """So many entries of a log have been lost since the start."""
        self._lost[log].inc(total - self._lost_before[log])
        self._lost_before[log] = total

    def retried(self, model: str, cause: str) -> None:
        """An attempt failed and another is made."""
        self._count(self.retries, (model, cause))

    def refused(self, code: str) -> None:
        """A caller was told an error."""
        self._count(self.errors, (code,))
