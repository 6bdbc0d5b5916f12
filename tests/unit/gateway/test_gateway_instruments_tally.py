"""What is counted of a finished request: every figure, true to the catalogue's help."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from observability import metrics
from serve import errors, gateway
from serve.fleet import loader
from serve.gateway.auth import ANYONE, Caller, KeyRefused
from serve.gateway.choice import Chosen
from serve.gateway.engine_errors import translate
from serve.gateway.instruments import Instruments, bounds
from serve.gateway.instruments.tally import Tally, overhead_s, queue_s
from serve.gateway.job import ClientLeft
from serve.gateway.moments import Attempt, Moments
from serve.gateway.record import Discarded, Finished
from serve.gateway.stream import EngineStreamError, Usage
from serve.routing.cost import exact_cost_nano_usd, rates
from serve.routing.decide import decide
from serve.routing.records import Endpoint, Hints, ModelState, Request
from serve.routing.reply import Judged, Verdict
from serve.routing.words import word

pytestmark = pytest.mark.unit

FLEET = loader.resolve(
    {
        "models": [
            {"use": "llama-3.3-70b-instruct", "id": "big", "upstream": {"base_url": "http://127.0.0.1:9"}},
            {"use": "suzume-llama-3-8b-multilingual", "id": "small", "upstream": {"base_url": "http://127.0.0.1:9"}},
        ],
        "routing": {"reference": "big", "quality_floor": -100},
    },
    "test",
)
GERMAN = "Erkläre mir bitte in zwei Sätzen, warum der Himmel am Abend so rot aussieht und am Tag so blau."
CALLER = Caller("acme", "k", None, "gold")


class Worker:
    """The parts that count, without a network."""

    def __init__(self, *tenants: str) -> None:
        self.instruments = Instruments(FLEET, tenants or ("acme",))
        self.tally = Tally(self.instruments, FLEET)

    def count(
        self, model: str | None = "small", text: str = GERMAN, usage: Usage | None = None, **over: Any
    ) -> Finished:
        request = over.pop("request", Request(text=text, characters=len(text)))
        decision = decide(request, FLEET, {}, 0.0)
        chosen = Chosen(decision, request, None, {}, 0.0004)  # type: ignore[arg-type]
        attempts = [Attempt(model, 1.0, 1.2, 1.5, 3.0)] if model else []
        done = Finished(
            0.0,
            "r",
            "d",
            Endpoint.CHAT,
            200,
            CALLER,
            1,
            model,
            chosen,
            Moments(0.0, ended=3.0, attempts=attempts),
            usage,
            0,
            None,
        )
        done = replace(done, **over)
        self.tally.count(done)
        return done

    def value(self, metric: Any, suffix: str = "", **labels: str) -> float:
        """The sum of the samples with these labels."""
        families = self.instruments.registry.restricted_registry([metric.name + suffix]).collect()
        return sum(s.value for f in families for s in f.samples if labels.items() <= s.labels.items())


def test_a_request_is_counted_by_model_language_class_status_and_reason():
    worker = Worker()
    done = worker.count()
    assert done.decision is not None
    labels = {"model": "small", "language": "de", "tenant_class": "gold", "status": "200"}
    assert worker.value(metrics.REQUESTS, **labels, reason=done.decision.reason_code) == 1
    worker.count(chosen=None, model=None, status=401, error=errors.Unauthenticated("no"), caller=ANYONE)
    assert worker.value(metrics.REQUESTS, model="none", language="other", status="401", reason="none") == 1


@pytest.mark.parametrize(
    ("status", "error", "outcome", "cause"),
    [
        (200, None, "answered", None),
        (400, errors.BadRequest("x"), "refused", None),
        (429, errors.Overloaded("x"), "refused", None),
        (503, errors.Unavailable("x"), "failed", None),
        (0, None, "failed", None),
        (200, EngineStreamError("x"), "failed", "engine_failed"),
        (200, errors.Unavailable("cut"), "failed", "engine_failed"),
        (200, errors.UpstreamTimeout("x"), "failed", "timeout"),
        (499, ClientLeft("x"), "left", "client_left"),
        (499, errors.BadRequest("x", code="incomplete_body"), "left", "client_left"),
        (499, ClientLeft("x", code="slow_client"), "left", "slow_client"),
    ],
)
def test_how_it_ended_is_counted_for_the_tenant_and_by_cause(status, error, outcome, cause):
    worker = Worker()
    worker.count(status=status, error=error)
    assert (
        worker.value(metrics.TENANT_REQUESTS)
        == worker.value(metrics.TENANT_REQUESTS, tenant="acme", outcome=outcome)
        == 1
    )
    assert worker.value(metrics.ABORTS) == (1 if cause else 0)
    if cause:
        assert worker.value(metrics.ABORTS, model="small", cause=cause) == 1


def test_money_is_exact_and_what_the_reference_would_have_cost_is_scaled_by_what_was_counted():
    worker = Worker()
    usage = Usage(prompt_tokens=300, cached_tokens=100, completion_tokens=41)
    done = worker.count(usage=usage, nano_usd=123_457)
    assert done.decision is not None
    own, reference = (next(c for c in done.decision.candidates if c.model == m) for m in ("small", "big"))
    into, out = reference.input_tokens / own.input_tokens, reference.output_tokens / own.output_tokens
    price = rates(FLEET.model("big"))
    expected = exact_cost_nano_usd(price, round(300 * into), round(100 * into), round(41 * out))
    assert worker.value(metrics.COST, model="small", language="de") == 123_457 / 1e9
    assert worker.value(metrics.TENANT_COST, tenant="acme") == 123_457 / 1e9
    found = worker.value(metrics.REFERENCE_COST, model="small", language="de") * 1e9
    assert found == pytest.approx(expected, rel=0.01)
    assert found > 123_457


def test_the_references_own_answers_cost_what_they_cost():
    worker = Worker()
    worker.count("big", usage=Usage(300, 100, 41), nano_usd=999_999)
    assert worker.value(metrics.REFERENCE_COST, model="big") == worker.value(metrics.COST, model="big") == 999_999 / 1e9
    assert worker.value(metrics.QUALITY_GIVEN_UP, model="big") == 0
    assert worker.value(metrics.QUALITY_KNOWN, model="big", language="de") == 1


def test_many_small_amounts_add_up_to_the_nano_usd():
    worker = Worker()
    for _ in range(1000):
        worker.count(usage=Usage(1, 0, 1), nano_usd=100_000_001)
    assert worker.value(metrics.COST) == worker.value(metrics.TENANT_COST) == 100.000001


def test_words_are_the_reports_words():
    worker = Worker()
    worker.count(usage=Usage(30, 0, 130))
    one = word(FLEET.model("small"), "de")
    labels = {"model": "small", "language": "de"}
    assert worker.value(metrics.WORDS, **labels, direction="input") == pytest.approx(len(GERMAN) / one.characters)
    assert worker.value(metrics.WORDS, **labels, direction="output") == pytest.approx(130 / one.written_tokens)


def test_quality_given_up_is_the_distance_to_the_reference_of_whole_answers():
    worker = Worker()
    done = worker.count(usage=Usage(30, 0, 13))
    assert done.decision is not None
    delta = next(c.quality for c in done.decision.candidates if c.model == "small")
    assert delta is not None
    assert delta < 0
    assert worker.value(metrics.QUALITY_GIVEN_UP, model="small", language="de") == -delta
    worker.count(usage=Usage(30, 0, 13), error=EngineStreamError("cut"))
    assert worker.value(metrics.QUALITY_KNOWN) == 1


def test_an_answer_that_was_thrown_away_costs_the_model_that_gave_it():
    worker = Worker()
    wrong = Judged(Verdict.WRONG, "en")
    worker.count(
        "big",
        usage=Usage(30, 0, 13),
        nano_usd=1000,
        discarded=Discarded("small", Usage(31, 0, 14), 300, wrong),
        judged=Judged(Verdict.RIGHT, "de"),
    )
    assert worker.value(metrics.COST, model="small") == 300 / 1e9
    assert worker.value(metrics.COST, model="big") == 700 / 1e9
    assert worker.value(metrics.REFERENCE_COST) == 700 / 1e9, "one answer, once"
    assert worker.value(metrics.TENANT_COST) == 1000 / 1e9
    assert worker.value(metrics.TOKENS, model="small", direction="output") == 14
    assert worker.value(metrics.WRONG_LANGUAGE, model="small", language="de") == 1
    assert worker.value(metrics.REPLIES_CHECKED) == 2


def test_decisions_say_where_the_language_came_from_and_whether_a_conversation_stayed():
    worker = Worker()
    text = {"text": GERMAN, "characters": len(GERMAN)}
    worker.count(request=Request(**text))
    worker.count(request=Request(**text, cached_characters={"small": 50}))
    worker.count(request=Request(**text, cached_characters={"big": 1}))
    worker.count(request=Request(**text), endpoint=Endpoint.COMPLETIONS)  # no conversation
    outcomes = {o: worker.value(metrics.STICKINESS, outcome=o) for o in ("new", "stayed", "moved")}
    assert outcomes == {"new": 1, "stayed": 1, "moved": 1}
    assert worker.value(metrics.LANGUAGE_SOURCE, source="text") == worker.value(metrics.DECISION, "_count") == 4


def test_a_language_tenant_or_class_that_nobody_wrote_down_makes_no_series():
    worker = Worker(*(f"t{n}" for n in range(500)))
    before = sum(len(f.samples) for f in worker.instruments.registry.collect())
    for number in range(200):
        caller = Caller(f"t{number}", "k", None, f"class-{number}")
        hint = f"q{chr(97 + number % 26)}{chr(97 + number // 26)}"
        request = Request(text="ok", characters=2, hints=replace(Request().hints, language=hint))
        worker.count(request=request, caller=caller, usage=Usage(1, 0, 1))
    assert worker.value(metrics.TENANT_REQUESTS, tenant="other") == 100
    assert worker.value(metrics.TENANT_REQUESTS, tenant="t99") == 1
    assert worker.value(metrics.TOKENS, language="other", direction="input") == 200
    names = {
        s.labels["tenant_class"]
        for f in worker.instruments.registry.collect()
        for s in f.samples
        if "tenant_class" in s.labels
    }
    assert len(names) <= bounds.MAX_CLASSES + 1
    after = sum(len(f.samples) for f in worker.instruments.registry.collect())
    assert after - before < 150


def test_the_queue_is_what_passed_between_the_decision_and_the_engine_that_answered():
    failed = Attempt("big", 1.0, 0.0, 0.0, 1.5, "engine_unreachable")
    answered = Attempt("small", 1.5, 1.75, 2.0, 3.0)
    moments = Moments(0.0, 0.5, 0.75, 2.25, 3.0, [failed, answered], 2.25)
    assert queue_s(moments, "small") == 1.0
    assert overhead_s(moments, "small") == 0.5  # 0.25 to decide, 0.25 from the engine's first byte to ours
    assert queue_s(moments, "big") is None
    assert queue_s(Moments(0.0, 0.5, 0.75, attempts=[failed]), "big") is None


def test_nothing_is_called_overhead_where_another_model_was_asked_after_the_one_that_answered():
    held, second = (
        Attempt("small", 1.0, 1.0, 2.0, 2.0, "wrong_language"),
        Attempt("big", 2.0, 2.5, 0.0, 9.0, "engine_error"),
    )
    moments = Moments(0.0, 0.5, 0.75, 0.0, 9.0, [held, second], 9.0)
    assert overhead_s(moments, "small") is None
    assert queue_s(moments, "small") == 0.25


def test_a_traced_request_leaves_its_trace_at_its_buckets():
    worker = Worker()
    moments = Moments(0.0, 0.5, 0.75, 2.25, 3.0, [Attempt("small", 0.75, 1.0, 2.0, 3.0)], 2.25)
    worker.count(moments=moments, trace_id="ab" * 16)
    worker.count(moments=moments)
    for metric in (metrics.TTFT, metrics.DURATION, metrics.OVERHEAD):
        (family,) = worker.instruments.registry.restricted_registry([metric.name + "_bucket"]).collect()
        examples = [s.exemplar.labels["trace_id"] for s in family.samples if s.exemplar is not None]
        assert examples == ["ab" * 16], metric.name


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyRefused("x", "missing", code="missing_api_key"), "missing"),
        (KeyRefused("x", "expired"), "expired"),
        (errors.Forbidden("x", code="model_not_allowed"), "model_not_allowed"),
        (errors.BadRequest("x"), None),
    ],
)
def test_a_refused_key_is_counted_by_its_reason(error, reason):
    worker = Worker()
    worker.instruments.refused(error)
    assert worker.value(metrics.ERRORS, code=error.code) == worker.value(metrics.ERRORS) == 1
    assert worker.value(metrics.KEY_REFUSALS) == (1 if reason else 0)
    if reason:
        assert worker.value(metrics.KEY_REFUSALS, reason=reason) == 1


def _codes() -> set[str]:
    """Codes that the sources state: `code = "…"` of a class, `code="…"` of a call."""
    found = set()
    folder = Path(gateway.__file__).parent
    sources = [path for path in folder.rglob("*.py") if "console" not in path.parts]
    for path in (*sources, Path(errors.__file__)):
        for node in ast.walk(ast.parse(path.read_text())):
            value = None
            if (isinstance(node, ast.keyword) and node.arg == "code") or (
                isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "code"
            ):
                value = node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found.add(value.value)
    return found


def test_every_code_that_a_caller_can_be_told_exists_from_the_start():
    internal = {"bad_description", "local", "wrong_language", "client_left"}  # no caller is told
    assert _codes() - internal <= set(bounds.CODES)
    told = translate(400, b'{"error":{"message":"maximum context length"}}', "m")
    assert set(bounds.CODES) - _codes() == {told.code, "headers_too_large"} - _codes()


def test_children_exist_from_the_start_where_they_are_few():
    worker = Worker("acme", "beta")
    text = {s.name for f in worker.instruments.registry.collect() for s in f.samples}
    later = {  # models x languages, and what is looked at or learnt
        metrics.REQUESTS, metrics.LANGUAGE_TTFT, metrics.TOKENS, metrics.WORDS, metrics.COST, metrics.REFERENCE_COST,
        metrics.QUALITY_GIVEN_UP, metrics.QUALITY_KNOWN, metrics.PRICE, metrics.TOKEN_RATIO, metrics.ANSWER_TOKENS,
        metrics.INPUT_TIME, metrics.KEY_EXPIRY, metrics.CERTIFICATE_EXPIRY, metrics.OPEN, metrics.OPEN_LIMIT,
        metrics.CONNECTIONS, metrics.WAKING, metrics.WAKING_ENDED, metrics.WAKING_WAIT,  # models that sleep
    }  # fmt: skip
    ledger = set(metrics.TENANTS) - {metrics.TENANT_REQUESTS, metrics.TENANT_COST}
    for metric in set(metrics.GATEWAY) - later - ledger:
        name = f"{metric.name}_count" if metric.buckets else metric.name
        assert name in text, name


DOWN = ModelState(healthy=False)


@pytest.mark.parametrize(
    ("live", "request_", "spilled"),
    [
        ({}, {}, {}),
        ({"small": DOWN}, {}, {"small": 1}),  # `big` took what `small` would have had
        ({"small": ModelState(has_capacity=False)}, {}, {"small": 1}),
        ({"big": DOWN}, {}, {}),  # dearer: it would not have had it
        ({"small": DOWN}, {"model": "big"}, {}),
        ({"small": DOWN}, {"hints": Hints(models=("big",))}, {}),
        ({"small": DOWN, "big": DOWN}, {}, {}),  # refused: its rejections count
        ({"big": DOWN}, {"text": "12345"}, {"big": 1}),  # the reference answers what has no language
    ],
)
def test_what_another_model_took_is_counted_for_the_one_that_was_down(live, request_, spilled):
    worker = Worker()
    request = Request(**{"text": GERMAN, "characters": len(GERMAN), **request_})
    decision = decide(request, FLEET, live, 0.0)
    chosen = Chosen(decision, request, None, {}, 0.0004)  # type: ignore[arg-type]
    worker.count(decision.model, chosen=chosen)
    counted = {model: worker.value(metrics.SPILLED, model=model) for model in ("big", "small")}
    assert {model: count for model, count in counted.items() if count} == spilled
