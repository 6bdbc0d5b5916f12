"""The loop: look, plan, apply. Level-triggered: every round compares what should be with what Ray Serve says is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autoscaling import state_file
from autoscaling.backoff import Backoff
from autoscaling.bounds import Bounded
from autoscaling.handover import after_gap
from autoscaling.history import History
from autoscaling.instruments import Instruments, Outcome
from autoscaling.leader import Leader
from autoscaling.memory import FileMemory, Memory, NoMemory, Unavailable
from autoscaling.plan import ModelPlan, Plan, scaled
from autoscaling.policies import POLICIES
from autoscaling.policies.joint import joined
from autoscaling.prometheus import PATIENCE, Prometheus, Reader
from autoscaling.prometheus import Round as Answers
from autoscaling.published import Done, Published
from autoscaling.queries import Source
from autoscaling.ray_serve import Application, Failed, RayServe
from autoscaling.snapshot import Cause, Replicas, Snapshot
from serve.fleet import Fleet, Model

if TYPE_CHECKING:  # without it in the description, no Kubernetes client is loaded
    from autoscaling.kubernetes.site import Site

log = logging.getLogger("parlance.autoscaler")

RAY_SERVE = "ray_serve"
# Without a whole round for so many intervals, and for as long as a round's time-outs take, something hangs.
LATE_ROUNDS = 3


def patience_s(fleet: Fleet) -> float:
    """After how long without a whole round something hangs."""
    settings = fleet.autoscaling
    longest = (PATIENCE + 2 + len(scaled(fleet))) * settings.timeout_s
    return max(LATE_ROUNDS * settings.interval_s, longest)


class Controller:
    """One autoscaler, on one event loop. What blocks runs in threads; all state is the loop's.

    It keeps what it has seen in `state_dir`, or in the `site`'s memory; without both it forgets. A dry run leaves no
    trace on a site.
    """

    def __init__(
        self, fleet: Fleet, leader: Leader, state_dir: Path | None, dry_run: bool = False, site: Site | None = None
    ) -> None:
        self.fleet = fleet
        self.dry_run = dry_run
        self.instruments = Instruments(fleet)
        self.last: Published | None = None
        self.leads = False
        self._leader = leader
        self._models = scaled(fleet)
        self._policy = Bounded(joined(POLICIES[fleet.autoscaling.policy], fleet))
        self._prometheus, self._reader = Prometheus(fleet), Reader(fleet)
        timeout_s = fleet.autoscaling.timeout_s
        clusters = {model.cluster for model in self._models if model.cluster is not None}
        self._site = site
        self._clusters = {
            name: RayServe(fleet.clusters[name], timeout_s, site.address(name) if site is not None else None)
            for name in sorted(clusters)
        }
        self._memory = _memory(state_dir, site)
        self._keeps = site is None or not dry_run
        self._history = History()
        self._backoff: dict[str, Backoff] = {}
        self._replicas: dict[str, Replicas] = {}  # the last that were known
        self._looked: float | None = None  # when they were
        self._alive = time.monotonic()  # when a round ended, or another process was found to lead

    @property
    def late(self) -> bool:
        """Whether no whole round has ended for so long that something hangs."""
        return time.monotonic() - self._alive > patience_s(self.fleet)

    async def run(self, stop: asyncio.Event) -> None:
        """A round an interval until `stop`; the one in progress ends first. A round that fails is logged."""
        interval = self.fleet.autoscaling.interval_s
        due = time.monotonic()
        while not stop.is_set():
            try:
                await self.step()
            except Exception:
                log.exception("a round failed; replicas stay as they are")
            # Late rounds are left out, not made up for.
            due = max(due + interval, time.monotonic())
            try:
                async with asyncio.timeout(due - time.monotonic()):
                    await stop.wait()
            except TimeoutError:
                pass
        await self.end()

    async def step(self) -> bool:
        """One round if this process leads; whether it does."""
        leads = await asyncio.to_thread(self._leader.leads)
        if leads and not self.leads and not await self._take_over():
            leads = False  # the Lease is held, and the next round tries again
        elif self.leads and not leads:
            log.warning("this autoscaler leads no more")
            self.last, self._looked, self._replicas = None, None, {}
        self.leads = leads
        self.instruments.leads(leads)
        if leads:
            await self._round()
        self._alive = time.monotonic()
        return leads

    async def end(self) -> None:
        """Keeps what was seen, and lets the next one lead at once."""
        if self.leads and self.last is not None:
            await self._save(now=True)
        if self._site is not None:
            await asyncio.to_thread(self._site.close)
        await asyncio.to_thread(self._leader.resign)

    async def _take_over(self) -> bool:
        """What the leader before had seen counts: without it every replica would look unneeded. False: not yet."""
        try:
            history = await asyncio.to_thread(self._memory.load, time.time(), time.monotonic())
        except Unavailable as error:
            log.warning("%s", error)
            return False
        self._history = after_gap(history, time.monotonic(), LATE_ROUNDS * self.fleet.autoscaling.interval_s)
        past = max((len(model.rounds) for model in self._history.models.values()), default=0)
        log.info("this autoscaler leads; %d rounds are known", past)
        if self._site is not None and not self.dry_run:
            self._site.took_over()
        return True

    async def _round(self) -> None:
        began = time.monotonic()
        asking = asyncio.create_task(asyncio.to_thread(self._prometheus.ask))
        states = await asyncio.gather(*(asyncio.to_thread(_applications, c) for c in self._clusters.values()))
        answers = await asking
        found = dict(zip(self._clusters, states, strict=True))
        problems = [answers.problem, *(str(state) for state in states if isinstance(state, Failed))]
        snapshot = self._snapshot(began, answers, found)
        # A thread: the program across models may take a second, in which /healthz is to be answered.
        plan = await asyncio.to_thread(self._policy.plan, began, snapshot, self._history, self.fleet)
        done: dict[str, Done] = {}
        for model in self._models:
            app = _application(found, model)
            done[model.id] = await self._apply(plan.models[model.id], model, app)
        problems += await self._workers(plan, snapshot, found)
        self._count(snapshot)
        self._history, ended = self._history.after(snapshot, plan, self.fleet)
        for name, took in ended.items():
            self.instruments.started(name, took)
        await self._save(now=any(one.outcome is Outcome.APPLIED for one in done.values()))
        wall = time.time()
        seconds = time.monotonic() - began
        self._sampled(answers, all(not isinstance(state, Failed) for state in states), wall)
        self.instruments.planned(plan, snapshot)
        self.instruments.ended(seconds, wall)
        said = tuple(problem for problem in problems if problem)
        if said and (self.last is None or self.last.problems != said):
            log.warning("%s", "; ".join(said))
        self.last = Published(wall, plan, snapshot, done, seconds, said)
        if self._site is not None and not self.dry_run:
            self._site.report(self.last)

    def _snapshot(self, now: float, answers: Answers, found: Mapping[str, dict[str, Application] | Failed]) -> Snapshot:
        models = {}
        for model in self._models:
            app = _application(found, model)
            failed = isinstance(found.get(model.cluster or ""), Failed)
            replicas = app.replicas if app else Cause.UNREACHABLE if failed else Cause.MISSING
            models[model.id] = self._reader.seen(model.id, answers, app.running if app else (), replicas)
        return Snapshot(now, models, *self._reader.flows(answers, models))

    async def _apply(self, plan: ModelPlan, model: Model, app: Application | None) -> Done:
        """Tells Ray Serve, where what it says differs from the plan."""
        before = app.replicas.target if app else None
        done = await self._told(plan, model, app)
        self.instruments.done(model.id, done.outcome, before, plan.wanted)
        known = self.last.plan.models[model.id].wanted if self.last is not None else None
        if done.outcome is Outcome.APPLIED or (done.outcome is Outcome.DRY_RUN and plan.wanted != known):
            would = " would be" if done.outcome is Outcome.DRY_RUN else ""
            log.info("%s:%s %s -> %s replicas: %s", model.id, would, before, plan.wanted, plan.reason.words)
        if done.problem:
            log.warning("%s: %s", model.id, done.problem)
        return done

    async def _told(self, plan: ModelPlan, model: Model, app: Application | None) -> Done:
        if app is None or plan.wanted is None or plan.wanted == app.replicas.target:
            return Done(Outcome.UNCHANGED)
        if self.dry_run:
            return Done(Outcome.DRY_RUN)
        backoff = self._backoff.get(model.id, Backoff())
        if app.replicas.changing or time.monotonic() < backoff.until:
            return Done(Outcome.DEFERRED)
        if not await asyncio.to_thread(self._leader.leads):  # a round may take longer than a Lease lasts
            return Done(Outcome.DEFERRED, "the lead was lost within the round")
        assert model.cluster is not None  # every engine has one
        try:
            await asyncio.to_thread(self._clusters[model.cluster].scale, app, plan.wanted)
        except Failed as error:
            chance = random.random()  # noqa: S311 - jitter
            interval_s = self.fleet.autoscaling.interval_s
            self._backoff[model.id] = backoff.failed(time.monotonic(), interval_s, chance)
            return Done(Outcome.FAILED, str(error))
        self._backoff.pop(model.id, None)
        return Done(Outcome.APPLIED)

    def _count(self, snapshot: Snapshot) -> None:
        """GPU time since the last round, by the replicas that were there then."""
        if self._looked is not None:
            self.instruments.held(self._replicas, snapshot.at - self._looked)
        for name, seen in snapshot.models.items():
            if seen.replicas is not None:
                self._replicas[name] = seen.replicas
        self._looked = snapshot.at

    def _sampled(self, answers: Answers, serve: bool, wall: float) -> None:
        for source in (Source.GATEWAY, Source.ENGINES):
            self.instruments.sampled(source.value, answers.sampled(source))
        self.instruments.sampled(RAY_SERVE, wall if serve and self._clusters else None)

    async def _workers(
        self, plan: Plan, snapshot: Snapshot, found: Mapping[str, dict[str, Application] | Failed]
    ) -> list[str]:
        """Worker groups of KubeRay follow the plan; what went wrong."""
        if self._site is None or self.dry_run or not await asyncio.to_thread(self._leader.leads):
            return []
        return await asyncio.to_thread(self._site.workers, plan, snapshot, found)

    async def _save(self, *, now: bool) -> None:
        if self._keeps:
            await asyncio.to_thread(self._memory.save, self._history, time.time(), time.monotonic(), now=now)


def _memory(state_dir: Path | None, site: Site | None) -> Memory:
    if site is not None:
        return site.memory
    return FileMemory(state_dir / state_file.NAME) if state_dir is not None else NoMemory()


def _applications(cluster: RayServe) -> dict[str, Application] | Failed:
    try:
        return cluster.applications()
    except Failed as error:
        return error


def _application(found: Mapping[str, dict[str, Application] | Failed], model: Model) -> Application | None:
    told = found.get(model.cluster or "")
    return told.get(model.id) if isinstance(told, dict) else None
