"""Asks Prometheus for every query of a round. What goes wrong becomes the cause of a reading, never an exception."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import urlencode

from autoscaling import fetch
from autoscaling.queries import Query, Source, flows, queries, times
from autoscaling.snapshot import Cause, Reading, Replicas, Seen, combined
from serve.fleet import Fleet

# A round's questions may take as long together as so many of them may alone.
PATIENCE = 3


# By model, then by language.
Languages = Mapping[str, Mapping[str, Reading]]


class _Refused(Exception):
    """An answer came, and it is no vector."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an instant query's result: its labels, when Prometheus evaluated it, and its value."""

    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Round:
    """The answers of one round by the query's name, and the times of the samples by source. None: not answered.

    `problem` says what went wrong first, in words.
    """

    answers: Mapping[str, tuple[Series, ...] | None]
    times: Mapping[Source, tuple[Series, ...] | None]
    problem: str = ""

    def sampled(self, source: Source) -> float | None:
        """When the oldest sample of a source was taken, in seconds since the epoch."""
        found = [series.value for series in self.times.get(source) or () if isfinite(series.value)]
        return min(found, default=None)


class Prometheus:
    """One Prometheus. `ask` blocks for at most PATIENCE times the time-out."""

    def __init__(self, fleet: Fleet) -> None:
        settings = fleet.autoscaling
        self.url = settings.prometheus_url.rstrip("/")
        self._timeout_s = settings.timeout_s
        self._queries = (*queries(fleet), *flows(fleet))
        self._times = times()

    def ask(self) -> Round:
        """Every query once, one after another; when time is up, or nobody answers, the rest is not asked."""
        deadline = time.monotonic() + self._timeout_s * PATIENCE
        answers: dict[str, tuple[Series, ...] | None] = {}
        problem = refused = ""
        asked = [(f"time of {source}", str(expr)) for source, expr in self._times.items()]
        asked += [(query.name, str(query.expression)) for query in self._queries]
        for name, expression in asked:
            answers[name] = None
            left = deadline - time.monotonic()
            if left <= 0 or problem:
                problem = (
                    problem or f"{self.url}: {len(asked)} questions took more than {self._timeout_s * PATIENCE:g} s"
                )
                continue
            try:
                answers[name] = self._instant(expression, min(self._timeout_s, left))
            except _Refused as error:  # this question; the next one may be answered
                refused = refused or str(error)
            except fetch.Unreachable as error:
                problem = str(error)
        times = {source: answers.pop(f"time of {source}") for source in self._times}
        return Round(answers, times, problem or refused)

    def _instant(self, expression: str, timeout_s: float) -> tuple[Series, ...]:
        """The vector of an instant query. Raises fetch.Unreachable for no answer, _Refused for another one."""
        words = urlencode({"query": expression, "timeout": f"{max(1, int(timeout_s))}s"})
        status, body = fetch.call(f"{self.url}/api/v1/query?{words}", timeout_s=timeout_s)
        try:
            answer = json.loads(body)
            if status != 200 or answer["status"] != "success":
                said = str(answer.get("error", ""))[:200] if isinstance(answer, dict) else ""
                raise _Refused(f"{self.url}: status {status} {said}".rstrip())
            if answer["data"]["resultType"] != "vector":
                raise _Refused(f"{self.url}: {answer['data']['resultType']!r} for an instant query")
            return tuple(_series(entry) for entry in answer["data"]["result"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise _Refused(f"{self.url}: status {status}, and no answer of Prometheus") from error


def _series(entry: Any) -> Series:
    labels = {str(name): str(value) for name, value in entry["metric"].items()}
    return Series(labels, float(entry["value"][0]), float(entry["value"][1]))


class Reader:
    """Makes readings of a round's answers."""

    def __init__(self, fleet: Fleet) -> None:
        self._queries = queries(fleet)
        self._flows = flows(fleet)
        self._oldest_s = fleet.autoscaling.stale_after_s

    def seen(self, model_id: str, answers: Round, running: Sequence[str], replicas: Replicas | Cause) -> Seen:
        """One model. `running` are the ids of its running replicas: what dead ones left behind does not count."""
        readings: dict[str, Reading] = {}
        for query in self._queries:
            if query.source is Source.ENGINES:
                readings[query.name] = self._engines(query, answers, model_id, running)
            else:
                readings[query.name] = self._gateways(query, answers, model_id)
        everywhere = readings.pop("refused_by_all")
        refused = readings["refused"]
        if refused.value and everywhere.value is not None:
            readings["refused"] = Reading(min(refused.value, everywhere.value), refused.age_s)
        # What others take while it is down would come back to it: else a model that sleeps is never woken by `auto`.
        readings["refused"] = combined((readings["refused"], readings.pop("spilled")), lambda one, other: one + other)
        known = isinstance(replicas, Replicas)
        none = isinstance(replicas, Replicas) and not replicas.running and not running
        readings = self._idle(readings, none)
        return Seen(
            **readings,  # names of queries are names of readings: a test holds that
            replicas=replicas if isinstance(replicas, Replicas) else None,
            replicas_cause=None if known else Cause(str(replicas)),
        )

    def flows(self, answers: Round, models: Iterable[str]) -> tuple[Languages, Languages]:
        """Requests a second by model and language: those that stayed, and those that were shifted to it. A model for
        which nobody answers is not there."""
        stayed, shifted = ({model: self._languages(query, answers, model) for model in models} for query in self._flows)
        return _answered(stayed), _answered(shifted)

    def _languages(self, query: Query, answers: Round, model_id: str) -> Mapping[str, Reading] | None:
        found, sampled = answers.answers.get(query.name), answers.times.get(Source.GATEWAY)
        at = next((series for series in sampled or () if series.labels.get("model") == model_id), None)
        if found is None or at is None:
            return None
        own = (series for series in found if series.labels.get("model") == model_id)
        return {one.labels.get("language", ""): self._reading(query, [one], at.at - at.value) for one in own}

    def _gateways(self, query: Query, answers: Round, model_id: str) -> Reading:
        found, sampled = answers.answers.get(query.name), answers.times.get(Source.GATEWAY)
        if found is None or sampled is None:
            return Reading.without(Cause.UNREACHABLE)
        at = next((series for series in sampled if series.labels.get("model") == model_id), None)
        if at is None:
            return Reading.without(Cause.MISSING)
        own = [s for s in found if query.source is Source.FLEET or s.labels.get("model") == model_id]
        return self._reading(query, own, at.at - at.value)

    def _engines(self, query: Query, answers: Round, model_id: str, running: Sequence[str]) -> Reading:
        """The sum over running replicas; of the KV cache's use the mean."""
        found, sampled = answers.answers.get(query.name), answers.times.get(Source.ENGINES)
        if found is None or sampled is None:
            return Reading.without(Cause.UNREACHABLE)
        live = set(running)
        told = [series for series in sampled if _of(series, model_id, live)]
        if not told:
            return Reading.without(Cause.MISSING)
        age_s = max(series.at - series.value for series in told)
        own = [series for series in found if _of(series, model_id, live)]
        if query.name != "kv_use" or not own:
            return self._reading(query, own, age_s)
        mean = sum(series.value for series in own) / len(own)
        return Reading.of(mean, age_s, oldest_s=self._oldest_s, least=query.least, most=query.most)

    def _reading(self, query: Query, own: Sequence[Series], age_s: float) -> Reading:
        if not own and not query.absent_is_zero:
            return Reading.without(Cause.MISSING, age_s if isfinite(age_s) else None)
        if any(not query.least <= series.value <= query.most for series in own):  # NaN fails every comparison
            return Reading.without(Cause.INVALID, age_s)
        value = sum(series.value for series in own)
        return Reading.of(value, age_s, oldest_s=self._oldest_s, least=query.least, most=query.most)

    def _idle(self, readings: dict[str, Reading], none: bool) -> dict[str, Reading]:
        """An engine exports nothing before its first request: where nothing is open, nothing runs or waits there; nor
        where there is no replica (`none`), though gateways hold requests until one has started."""
        silent = all(readings[name].cause is Cause.MISSING for name in ("running", "waiting"))
        if silent and (none or readings["in_flight"].value == 0):
            age_s = readings["in_flight"].age_s
            for name in ("running", "waiting", "kv_use", "worked_prompt_tokens", "worked_output_tokens"):
                readings[name] = Reading(0.0, age_s)
        return readings


def _answered(told: Mapping[str, Mapping[str, Reading] | None]) -> Languages:
    return {model: languages for model, languages in told.items() if languages is not None}


def _of(series: Series, model_id: str, running: set[str]) -> bool:
    return series.labels.get("model_name") == model_id and series.labels.get("ReplicaId") in running
