"""Our families beside prometheus_client's own: the same text, byte for byte, in both formats."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from observability.metric import Kind, Metric
from serve.gateway.instruments.exposition import SLICE, expose, slices
from serve.gateway.instruments.families import Counts, Levels, NanoCounts, Registry, Times

pytestmark = pytest.mark.unit

ASKED = Metric("t_asked_total", Kind.COUNTER, 'Asked, "so" to say \\ or not.', ("model", "language"))
USD = Metric("t_cost_usd_total", Kind.COUNTER, "Cost.", ("model",))
LOAD = Metric("t_load", Kind.GAUGE, "Load.", ())
WAIT = Metric("t_wait_seconds", Kind.HISTOGRAM, "Wait.", ("model",), (0.1, 1.0, 10.0))


def filled() -> Registry:
    registry = Registry()
    asked, cost = Counts(ASKED, registry), NanoCounts(USD, registry)
    load, wait = Levels(LOAD, registry), Times(WAIT, registry)
    asked.add(("b", "nb"))
    asked.add(("b", "nb"), 2_000_000)
    asked.add(('quo"te\\\n', "é"), 0)
    cost.add(("b",), 1)
    cost.add(("b",), 2_500_000_000)
    load.set((), 0.25)
    for seconds in (0.05, 0.1, 0.11, 9.0, 11.0, 1e6):
        wait.child(("b",)).observe(seconds)
    wait.child(("b",)).exemplify(0.11, "ab" * 16, 1763.5)
    wait.child(("empty",))
    return registry


@pytest.mark.parametrize(("ours", "theirs"), [(False, generate_latest), (True, openmetrics)])
def test_the_text_is_what_prometheus_client_would_write(ours, theirs):
    registry = filled()
    assert "".join(slices(registry, ours)).encode() == theirs(registry)


def test_a_scraper_reads_what_was_counted_in_either_format():
    registry = filled()
    for text, read in (
        ("".join(slices(registry, False)), plain_families),
        ("".join(slices(registry, True)), text_string_to_metric_families),
    ):
        samples = [sample for family in read(text) for sample in family.samples]
        values = {(s.name, tuple(sorted(s.labels.values()))): s.value for s in samples}
        assert (
            values[("t_asked_total", ("b", "nb"))] == 2_000_001 or values[("t_asked_total", ("nb", "b"))] == 2_000_001
        )
        assert values[("t_cost_usd_total", ("b",))] == 2.500000001
        assert values[("t_load", ())] == 0.25


def test_an_exemplar_stands_at_its_bucket_where_openmetrics_was_asked_for():
    registry = filled()
    (family,) = [
        f for f in text_string_to_metric_families("".join(slices(registry, True))) if f.name == "t_wait_seconds"
    ]
    found = {s.labels["le"]: s.exemplar for s in family.samples if s.exemplar is not None}
    assert list(found) == ["1.0"]
    assert (found["1.0"].labels, found["1.0"].value) == ({"trace_id": "ab" * 16}, 0.11)
    assert "trace_id" not in "".join(slices(registry, False))


@given(st.lists(st.floats(0, 20) | st.sampled_from(WAIT.buckets)))
def test_a_histogram_counts_as_prometheus_clients_does(values):
    registry, library = Registry(), CollectorRegistry()
    ours, theirs = Times(WAIT, registry).child(("m",)), WAIT.histogram(library).labels("m")
    for value in values:
        ours.observe(value)
        theirs.observe(value)
    for name, labels in [("_count", {}), ("_sum", {}), *[("_bucket", {"le": le}) for le in ("0.1", "1.0", "+Inf")]]:
        sample = f"t_wait_seconds{name}", {"model": "m", **labels}
        assert math.isclose(registry.get_sample_value(*sample), library.get_sample_value(*sample))


def test_a_long_text_comes_in_parts_and_a_childs_lines_stay_together():
    registry = Registry()
    wait, asked = Times(WAIT, registry), Counts(ASKED, registry)
    for index in range(500):
        wait.child((str(index),)).observe(0.5)
        asked.add((str(index), "nb"))
    parts = list(slices(registry, True))
    assert len(parts) > 10
    assert all(part.count("\n") < SLICE + 10 for part in parts)
    for part in parts:
        assert part.count("_bucket{") == 4 * part.count("t_wait_seconds_count{")
    assert "".join(parts).encode() == openmetrics(registry)


def test_other_work_goes_on_between_two_parts():
    registry = Registry()
    asked = Counts(ASKED, registry)
    for index in range(SLICE * 4):
        asked.add((str(index), "nb"))

    async def count() -> tuple[int, str]:
        turns = 0
        scrape = asyncio.ensure_future(expose(registry, "text/plain"))
        while not scrape.done():
            turns += 1
            await asyncio.sleep(0)
            asked.add(("new", "nb"))  # counted in the middle of a scrape
        body, kind = scrape.result()
        assert body.count(b"\n") == 2 + SLICE * 4
        return turns, kind

    turns, kind = asyncio.run(count())
    assert turns >= 4
    assert kind.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text"),
    ],
)
def test_the_format_is_the_one_that_was_asked_for(accept, kind):
    body, said = asyncio.run(expose(filled(), accept))
    assert said.startswith(kind)
    assert body.endswith(b"# EOF\n") is ("openmetrics" in kind)


def test_prometheus_clients_own_collectors_stand_beside_ours():
    registry = filled()
    other = Metric("t_other_total", Kind.COUNTER, "Other.", ("model",)).counter(registry)
    other.labels("x").inc(3)
    text = "".join(slices(registry, True))
    assert 't_other_total{model="x"} 3.0\n' in text
    assert "_created" not in text


def test_one_name_is_exported_once():
    registry = filled()
    with pytest.raises(ValueError, match="t_load"):
        Levels(LOAD, registry)
    with pytest.raises(ValueError, match="t_load is a gauge"):
        Counts(LOAD, Registry())


def test_labels_are_those_of_the_metric():
    registry = Registry()
    Counts(ASKED, registry).add(("only one",))
    with pytest.raises(ValueError, match="shorter"):
        list(slices(registry, False))


def test_a_gauge_forgets_what_is_not_known_any_more():
    registry = Registry()
    levels = Levels(Metric("t_price_usd", Kind.GAUGE, "Price.", ("model",)), registry)
    levels.keep({("a",): 1.0, ("b",): 2.0})
    levels.keep({("b",): 3.0})
    levels.remove(("never",))
    assert [line for part in slices(registry, False) for line in part.splitlines()][2:] == [
        't_price_usd{model="b"} 3.0'
    ]
