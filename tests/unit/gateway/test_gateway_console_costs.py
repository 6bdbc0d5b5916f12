"""Cost by language from the counters themselves."""

import pytest
from prometheus_client import CollectorRegistry

from observability import metrics
from serve.gateway.console.costs import costs, per_1000_words

pytestmark = pytest.mark.unit


def filled():
    registry = CollectorRegistry()
    requests = metrics.REQUESTS.counter(registry)
    for model, language, status, amount in (
        ("big", "nn", "200", 3), ("small", "nn", "200", 1), ("small", "nn", "499", 1), ("none", "nn", "503", 2),
        ("small", "de", "200", 4), ("big", "fi", "200", 0),
    ):  # fmt: skip
        requests.labels(model, language, "default", status, "cheapest").inc(amount)
    tokens = metrics.TOKENS.counter(registry)
    for direction, amount in (("input", 100), ("cached_input", 60), ("output", 40)):
        tokens.labels("big", "nn", direction).inc(amount)
        tokens.labels("small", "nn", direction).inc(amount)
    words = metrics.WORDS.counter(registry)
    words.labels("big", "nn", "input").inc(150)
    words.labels("small", "nn", "output").inc(50)
    cost, reference = metrics.COST.counter(registry), metrics.REFERENCE_COST.counter(registry)
    for model, paid, would in (("big", 0.03, 0.03), ("small", 0.01, 0.05)):
        cost.labels(model, "nn").inc(paid)
        reference.labels(model, "nn").inc(would)
    metrics.HEALTHY.gauge(registry).labels("big").set(1)
    return registry


def test_rows_add_up_what_prometheus_scrapes():
    first, second = costs(filled())
    assert (first["language"], first["name"], first["requests"]) == ("nn", "Norwegian Nynorsk", 7)
    assert first["models"] == {"big": 3, "small": 2}, "a request that reached no model is nobody's share"
    assert (first["input_tokens"], first["output_tokens"]) == (200, 80), "cached tokens are part of the input"
    assert (first["usd"], first["reference_usd"]) == pytest.approx((0.04, 0.08))
    assert first["usd_per_1000_words"] == pytest.approx(0.2)
    assert (second["language"], second["usd_per_1000_words"]) == ("de", None)


def test_nothing_counted_is_an_empty_table():
    assert costs(CollectorRegistry()) == []


def test_no_words_have_no_price():
    assert per_1000_words(0.5, 0) is None
