"""What a gateway's operator's port exports, and what came to it between two looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from observability.metric import Metric
from tests.support.gateway import GatewayProcess

WAIT_S = 20.0  # a busy machine takes its time

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Scrape:
    """Samples by name and labels, read by prometheus_client's parser."""

    values: dict[Series, float]

    @classmethod
    def of(cls, gateway: GatewayProcess) -> Scrape:
        """What is exported at this moment; every finished request is in it."""
        text = gateway.admin("/metrics").body.decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        values = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
        assert len(values) == len(samples), "a series twice"
        return cls(values)

    def __sub__(self, before: Scrape) -> Scrape:
        """What was added to each series."""
        return Scrape({series: value - before.values.get(series, 0.0) for series, value in self.values.items()})

    def matching(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """Labels and values of the series of that name with these labels."""
        for (found, having), value in self.values.items():
            if found == name and labels.items() <= dict(having).items():
                yield dict(having), value

    def get(self, metric: Metric, part: str = "", **labels: str) -> float:
        """The sum over the series with these labels; `part` is `_count`, `_sum` or `_bucket` of a histogram."""
        return sum(value for _, value in self.matching(metric.name + part, **labels))


class Watch:
    """What comes to the metrics from here on."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self._gateway = gateway
        self._before = Scrape.of(gateway)

    def added(self, until: Callable[[Scrape], bool] = lambda added: True) -> Scrape:
        """What has come since, once that holds: a request that a client left ends a little later."""
        deadline = time.monotonic() + WAIT_S
        while True:
            added = Scrape.of(self._gateway) - self._before
            if until(added) or time.monotonic() > deadline:
                return added
            time.sleep(0.05)
