"""Ten minutes' worth of an ordinary and a bad day, in one or two: what the observability of a stack is tested on."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from observability import autoscaler_metrics, metrics
from observability.metric import Exporter, Metric
from observability.promql import series
from tests.support import accounts, traffic
from tests.support.prometheus import Prometheus
from tests.support.second_gateway import SecondGateway
from tests.support.stack import Stack
from tests.support.traffic import Ask, Tally
from tests.support.trickle import engine_core

VICTIM = "eurollm-9b-instruct"  # its engine is killed
GROWING = "suzume-llama-3-8b-multilingual"  # the laptop's one model that may have a second replica
CLIENTS = 6
START_S = 900  # an engine starts with half a minute of CPU; on a machine that others keep busy that takes long


@dataclass
class Lived:
    """What happened: when (seconds since the epoch), what the clients counted, and the alerts that were seen."""

    began: float
    second_target: str  # host:port that the second gateway is scraped at
    second_state: Path
    ended: float = 0
    before: Counter[int] = field(default_factory=Counter)  # requests of the stack's gateway until then, by status
    tally: Tally = field(default_factory=Tally)
    second: Tally = field(default_factory=Tally)
    alerts: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # states by alert and model
    scaled_to: int = 0
    took_s: dict[str, float] = field(default_factory=dict)  # by part


class Day:
    """One run over a stack that has Prometheus and the autoscaler. `directory` takes the second gateway's files."""

    def __init__(self, stack: Stack, prometheus: Prometheus, directory: Path) -> None:
        self.stack, self.prometheus = stack, prometheus
        self.second = SecondGateway(directory)
        self.lived = Lived(time.time(), self.second.target, directory / "state")
        self._lock = threading.Lock()

    def live(self) -> Lived:
        """Everything at once, as far as it does not disturb itself; returns when all of it is scraped."""
        with self._scraped(), self._watched():
            try:
                self._until(self._shrunk, START_S, f"{GROWING} still has a second replica", every_s=2)
                self._settle()
                instance = f"127.0.0.1:{self.stack.state.ports.admin}"
                self.lived.before = accounts.statuses(self.prometheus, instance, self.lived.ended)
                self._part("second gateway", self.second.worst_day)
                self.second.big.health = 503  # from here on: long enough down for an alert to fire
                self._part("traffic", self._ordinary)
                with ThreadPoolExecutor(2) as beside:
                    kill = beside.submit(self._part, "engine killed", self._kill)
                    scale = beside.submit(self._part, "scaled", self._scale)
                    kill.result()
                    scale.result()
                self._part("alert", self._await_alert)
                self.second.big.health = 200
                self._settle()
            finally:
                self.second.stop()
        self.lived.second = self.second.tally
        return self.lived

    def _part(self, name: str, work: Callable[[], None]) -> None:
        began = time.monotonic()
        work()
        self.lived.took_s[name] = round(time.monotonic() - began, 1)

    def _ordinary(self) -> None:
        """All languages, paths and mistakes of callers, in a mixture."""
        fleet = self.stack.fleet
        chats = [model.id for model in fleet.models if model.card.chats]
        completes = [model.id for model in fleet.models if not model.card.chats]
        asks = [
            *traffic.every_language(),
            *traffic.every_path(chats, completes),
            *traffic.mistakes("gemma-2-9b-it") * 2,
            *traffic.leavers("llama-3.3-70b-instruct"),
        ]
        self._send(asks)
        for dialogue in traffic.conversations():
            self._send(dialogue, clients=1)

    def _kill(self) -> None:
        """Kills an engine, and asks it and `auto` until it answers again."""
        asked = itertools.cycle(traffic.every_language())

        def answers() -> bool:
            self._send(list(itertools.islice(asked, 4)), clients=2)
            return self._send([traffic.chat("Ciao a tutti", VICTIM)]).got[0].status == 200

        engine_core(self.stack, VICTIM).kill()
        self._until(lambda: not answers(), 30, f"nobody noticed that {VICTIM} is dead")
        self._until(answers, START_S, f"{VICTIM} did not come back", every_s=3)

    def _scale(self) -> None:
        """Work for one model until the autoscaler has given it a second replica, and that runs."""
        numbers = itertools.count()
        texts = itertools.cycle([group[0] for group in traffic.sentences().values()])

        def work() -> None:
            # Long, and no two that begin alike: what a cache already holds is no work.
            asked = [f"{next(numbers)}: " + f"{next(texts)} " * 8 for _ in range(CLIENTS)]
            self._send([traffic.chat(text, GROWING, stream=True, tokens=24) for text in asked])

        def wanted() -> bool:
            work()
            return self._gauge(autoscaler_metrics.TARGET) > 1

        def grown() -> bool:
            work()
            self.lived.scaled_to = self._gauge(autoscaler_metrics.REPLICAS, state="running")
            return self.lived.scaled_to > 1

        self._until(wanted, 300, f"the autoscaler asked for no second replica of {GROWING}")
        self._until(grown, START_S, f"the second replica of {GROWING} does not run", every_s=3)

    def _gauge(self, metric: Metric, **labels: str) -> int:
        """What the autoscaler says of the growing model now."""
        return int(self.prometheus.value(series(metric, model=GROWING, **labels).text) or 0)

    def _shrunk(self) -> bool:
        """Whether an earlier day's second replica is gone."""
        return self._gauge(autoscaler_metrics.REPLICAS, state="running") == 1

    def _await_alert(self) -> None:
        """Until the alert on the second gateway's dead engine fires: two minutes after its death."""
        self._until(
            lambda: ("ParlanceEngineDown", "big") in self._firing(), 240, "no alert on a dead engine", every_s=1
        )

    def _settle(self) -> None:
        """Waits until Prometheus has scraped both gateways after the last request, and evaluated the rules on that."""
        over = time.time() + 0.5  # the gateways account for requests within that
        build = series(metrics.BUILD).text
        self._until(
            lambda: all(float(one["value"][1]) > over for one in self.prometheus.query(f"timestamp({build})")),
            60,
            "Prometheus does not scrape the gateways",
        )
        time.sleep(6)  # one more evaluation
        self.lived.ended = time.time()

    # What happens beside.

    @contextlib.contextmanager
    def _scraped(self) -> Iterator[None]:
        """The second gateway is a target of the stack's own Prometheus while this lasts."""
        job = Exporter.GATEWAY.value
        listed = self.stack.store.root / "prometheus" / "targets" / f"{job}-second.json"
        listed.write_text(json.dumps([{"targets": [self.second.target]}]))
        up = f'up{{instance="{self.second.target}", job="{job}"}}'
        try:
            self._until(lambda: self.prometheus.value(up) == 1, 60, f"{self.second.target} is not scraped")
            yield
        finally:
            listed.unlink()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        """Every alert that is pending or firing is noted while this lasts."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(1):
                self._firing()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(30)

    def _firing(self) -> set[tuple[str, str]]:
        active = self.prometheus.get("alerts")["alerts"]
        with self._lock:
            for alert in active:
                key = (alert["labels"]["alertname"], alert["labels"].get("model", ""))
                self.lived.alerts.setdefault(key, set()).add(alert["state"])
            return {key for key, states in self.lived.alerts.items() if "firing" in states}

    def _send(self, asks: list[Ask], clients: int = CLIENTS) -> Tally:
        got = traffic.send(self.stack.gateway_url, asks, clients)
        with self._lock:
            self.lived.tally += got
        return got

    def _until(self, condition: Callable[[], Any], seconds: float, otherwise: str, every_s: float = 0.2) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, otherwise
            time.sleep(every_s)
