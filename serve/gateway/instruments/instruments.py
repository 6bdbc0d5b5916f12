"""The families of one gateway worker, their children from the start, and what is counted where it happens."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from observability import metrics
from observability.labels import OTHER
from serve.errors import ParlanceError
from serve.fleet import Fleet
from serve.gateway.auth import KeyRefused
from serve.gateway.instruments import bounds
from serve.gateway.instruments.families import NONE, Counts, Levels, NanoCounts, Registry, Times
from serve.routing.records import LanguageSource, Rejection


class Instruments:
    """Everything that one gateway worker counts, on one thread.

    What follows from a finished request is counted by `serve.gateway.instruments.tally`, what is looked at when it is
    scraped by `serve.gateway.instruments.looked`.
    """

    def __init__(self, fleet: Fleet, tenants: Iterable[str] = ()) -> None:
        """`tenants` in the order of the keys file: the first of them have series of their own."""
        r = self.registry = Registry()
        self.models = tuple(model.id for model in fleet.models)
        self.languages = bounds.languages_of(fleet)
        self.tenants = bounds.Tenants(tenants)
        self.classes = bounds.Classes()
        # What is asked, and what comes of it.
        self.requests = Counts(metrics.REQUESTS, r)
        self.errors = Counts(metrics.ERRORS, r)
        self.aborts = Counts(metrics.ABORTS, r)
        self.retries = Counts(metrics.RETRIES, r)
        self.key_refusals = Counts(metrics.KEY_REFUSALS, r)
        self.in_flight = Levels(metrics.IN_FLIGHT, r)
        self.open = Levels(metrics.OPEN, r)
        self.open_limit = Levels(metrics.OPEN_LIMIT, r)
        self.connections = Levels(metrics.CONNECTIONS, r)
        self.healthy = Levels(metrics.HEALTHY, r)
        self.expected_wait = Levels(metrics.EXPECTED_WAIT, r)
        self.waking = Levels(metrics.WAKING, r)
        self.waking_ended = Counts(metrics.WAKING_ENDED, r)
        self.waking_wait = Times(metrics.WAKING_WAIT, r)
        self.shifts = Levels(metrics.SHIFTS, r)
        self.plan_flaws = Counts(metrics.PLAN_FLAWS, r)
        # Time.
        self.ttft = Times(metrics.TTFT, r)
        self.language_ttft = Times(metrics.LANGUAGE_TTFT, r)
        self.itl = Times(metrics.ITL, r)
        self.tpot = Times(metrics.TPOT, r)
        self.duration = Times(metrics.DURATION, r)
        self.queue = Times(metrics.QUEUE, r)
        self.decision = Times(metrics.DECISION, r)
        self.overhead = Times(metrics.OVERHEAD, r)
        # Tokens, words and money.
        self.tokens = Counts(metrics.TOKENS, r)
        self.words = Counts(metrics.WORDS, r)
        self.cost = NanoCounts(metrics.COST, r)
        self.reference_cost = NanoCounts(metrics.REFERENCE_COST, r)
        self.quality_given_up = Counts(metrics.QUALITY_GIVEN_UP, r)
        self.quality_known = Counts(metrics.QUALITY_KNOWN, r)
        self.price = Levels(metrics.PRICE, r)
        # Choices.
        self.rejections = Counts(metrics.REJECTIONS, r)
        self.spilled = Counts(metrics.SPILLED, r)
        self.language_source = Counts(metrics.LANGUAGE_SOURCE, r)
        self.stickiness = Counts(metrics.STICKINESS, r)
        self.checked = Counts(metrics.REPLIES_CHECKED, r)
        self.wrong_language = Counts(metrics.WRONG_LANGUAGE, r)
        # What has been learnt, and how old it is.
        self.token_ratio = Levels(metrics.TOKEN_RATIO, r)
        self.observations = Counts(metrics.OBSERVATIONS, r)
        self.answer_tokens = Levels(metrics.ANSWER_TOKENS, r)
        self.input_time = Levels(metrics.INPUT_TIME, r)
        self.key_expiry = Levels(metrics.KEY_EXPIRY, r)
        self.certificate_expiry = Levels(metrics.CERTIFICATE_EXPIRY, r)
        self.log_lost = Counts(metrics.LOG_LOST, r)
        self.build = Levels(metrics.BUILD, r)
        # Tenants.
        self.tenant_requests = Counts(metrics.TENANT_REQUESTS, r)
        self.tenant_cost = NanoCounts(metrics.TENANT_COST, r)
        self._begin(fleet)

    def _begin(self, fleet: Fleet) -> None:
        """Makes the children whose labels are few: a panel must not be empty until the first event, and a counter that
        begins at 1 has no first increase. Models x languages come when they are first asked for."""
        self.build.set((version("parlance"),), 1)
        for model in fleet.models:
            for gauge in (self.in_flight, self.healthy, self.expected_wait):
                gauge.set((model.id,), 0)
            for times in (self.ttft, self.itl, self.tpot, self.duration, self.queue):
                times.child((model.id,))
            if model.sleeps:
                self.waking.set((model.id,), 0)
                self.waking_wait.child((model.id,))
                _zeros(self.waking_ended, bounds.WAKING, model.id)
            _zeros(self.aborts, bounds.ABORTS, model.id)
            _zeros(self.retries, bounds.RETRIED, model.id)
            _zeros(self.spilled, (model.id,))
            _zeros(self.rejections, (code.value for code in Rejection), model.id)
            for checks in (self.checked, self.wrong_language):
                _zeros(checks, bounds.languages_of_model(model), model.id)
        _zeros(self.aborts, (bounds.CLIENT_LEFT,), bounds.NO_MODEL)
        for times in (self.decision, self.overhead):
            times.child(NONE)
        _zeros(self.errors, bounds.CODES)
        _zeros(self.key_refusals, bounds.KEY_REFUSALS)
        _zeros(self.language_source, (source.value for source in LanguageSource))
        _zeros(self.stickiness, (bounds.STAYED, bounds.MOVED, bounds.NEW))
        _zeros(self.observations, ("token_ratio", "answer_length"))
        _zeros(self.log_lost, ("journal", "decisions", "traces"))
        self.shifts.set(NONE, 0)
        _zeros(self.plan_flaws, bounds.FLAWS)
        for tenant in self.tenants.names:
            _zeros(self.tenant_requests, bounds.OUTCOMES, tenant)
            _zeros(self.tenant_cost, (tenant,))

    def language(self, tag: str) -> str:
        """The tag as a label: a hint may name any language, the series may not."""
        return tag if tag in self.languages else OTHER

    def retried(self, model: str, cause: str) -> None:
        """An attempt failed and another is made."""
        self.retries.add((model, cause))

    def refused(self, error: ParlanceError) -> None:
        """A caller was told an error."""
        self.errors.add((error.code,))
        if isinstance(error, KeyRefused):
            self.key_refusals.add((error.reason,))
        elif error.code == bounds.MODEL_NOT_ALLOWED:
            self.key_refusals.add((bounds.MODEL_NOT_ALLOWED,))

    def lost(self, log: str, total: int) -> None:
        """So many entries of a log have been lost since the start."""
        self.log_lost.child((log,)).value = total


def _zeros(counts: Counts, values: Iterable[str], *before: str) -> None:
    for value in values:
        counts.add((*before, value), 0)
