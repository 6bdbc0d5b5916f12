"""A plan in which every model stands by itself, made into a problem across models: now, and for when replicas could
have started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

from autoscaling.capacity.sustained import Mix
from autoscaling.demand import mix_of, weights, work_of
from autoscaling.history import History, horizon_s
from autoscaling.joint.flows import Flows
from autoscaling.joint.problem import Lane, Problem, Road, Site, Terms
from autoscaling.joint.substitutes import StandIn, context_share, stand_ins
from autoscaling.plan import Code, ModelPlan, Plan, Shift, scaled
from autoscaling.snapshot import Replicas, Snapshot
from serve.fleet import Fleet, Model
from serve.routing.cost import rates, usd_per_replica_hour

# What waits or fills the caches has no room beside it, however little of it is work that arrives.
FULL = (Code.BACKLOG, Code.KV_CACHE)
# Load is moved before a replica is at its limit: what is measured is a window old.
RELIEVED_FROM = 0.9
# 3.0000000001 replicas are three; and a number of replicas that is needed has at least this much to do in its last one.
ROUNDING = 1e-9
SOME = 0.01
# Never quite all of a language: what stays shows that it still flows, and how much.
MOST_SHARE = 0.95
# Headroom that is missing costs no less than a replica for each such part of one.
REST = 0.01
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Known:
    """One model that takes part: everything that is needed of it is known."""

    model: Model
    plan: ModelPlan
    replicas: Replicas
    mix: Mix
    arrivals: float
    usable: float
    needed: int

    @property
    def arriving(self) -> float:
        return self.plan.arriving or 0.0

    @property
    def expected(self) -> float:
        return max(self.plan.expected or 0.0, 0.0)


class Pose:
    """One moment. `raw` is made for what would come without shifts; models that it is blind for take no part."""

    def __init__(self, raw: Plan, snapshot: Snapshot, told: Flows, history: History, fleet: Fleet) -> None:
        self._raw, self._flows, self._history, self._fleet = raw, told, history, fleet
        self._in_force = {Lane(one.language, one.source, one.to): one.share for one in history.shifts}
        found = (self._known(model, raw.models[model.id], snapshot) for model in scaled(fleet))
        self.known: Mapping[str, _Known] = {one.model.id: one for one in found if one is not None}
        self._settings = fleet.autoscaling.joint
        self._terms = Terms(
            shift=self._settings.shift_cost, change=self._settings.change_cost, together=self._settings.together
        )

    def later(self, budget: Mapping[str, int]) -> Problem:
        """How many replicas: with the headroom that each plan asks for, when those called for now could serve."""
        sites = {name: self._site(one, budget) for name, one in self.known.items()}
        settings = self._fleet.autoscaling
        start_s = max((horizon_s(self._history.model(one.model, settings), settings) for one in self.known.values()),
                      default=0.0)  # fmt: skip
        # A replica is there for as long as it starts and the scale-down window lasts at least.
        start = start_s / (start_s + max(settings.pace.scale_down_window_s, start_s))
        terms = replace(self._terms, start=start)
        return Problem(sites, self._roads(sites, reserve=True), budget, terms)

    def now(self, replicas: Mapping[str, int]) -> Problem:
        """What moves: with the replicas that serve and are going to stay, and what arrives now."""
        sites = {}
        for name, one in self.known.items():
            assert one.model.engine is not None
            staying = max(replicas[name], self._windowed(one)) + one.model.engine.replicas.spare
            serving = min(one.replicas.running, staying)
            arriving = one.arriving if one.needed else 0.0
            limit = min(one.usable, RELIEVED_FROM * (one.plan.capacity or one.usable))
            base = arriving + self._waiting(one, limit)
            sites[name] = self._made(one, limit, base, 0.0, serving, serving)
        return Problem(sites, self._roads(sites, reserve=False), {}, self._terms)

    def held(self, kind: str) -> int:
        """GPUs of a kind that all models hold, or have called for."""
        return sum(
            one.model.engine.workers * max(one.replicas.target, one.replicas.held)
            for one in self.known.values()
            if one.model.engine is not None and one.model.engine.gpu == kind
        )

    def _known(self, model: Model, plan: ModelPlan, snapshot: Snapshot) -> _Known | None:
        seen, settings = snapshot.model(model.id), self._fleet.autoscaling
        capacity, arrivals = plan.capacity, seen.arrivals.value
        if plan.blind is not None or plan.needed is None or plan.expected is None or plan.arriving is None:
            return None
        if seen.replicas is None or capacity is None or capacity <= 0 or arrivals is None:
            return None
        mix = mix_of(seen, settings.window_s, settings.mix_window_s) or self._history.model(model, settings).mix
        work = settings.work.request_tokens
        mix = mix or Mix(work / 2 / max(settings.work.prompt_token_weight, 0.01), work / 2)
        usable, needed = plan.usable or capacity, plan.needed
        if needed and plan.expected > needed * usable:  # the policy plans for more use than it says
            usable = plan.expected / needed
        return _Known(model, plan, seen.replicas, mix, arrivals + plan.away, usable, needed)

    def _site(self, one: _Known, budget: Mapping[str, int]) -> Site:
        engine = one.model.engine
        assert engine is not None
        base = min(one.arriving, one.expected) if one.needed else 0.0
        reserve = max(one.expected - base, 0.0) if one.needed else 0.0
        base += self._missing(one, base + reserve)
        least = engine.replicas.min
        if one.needed and engine.gpu not in budget:  # some requests never move: those that name it, or are too long
            least = max(least, 1)
        return self._made(one, one.usable, base, reserve, least, engine.replicas.max)

    def _made(self, one: _Known, usable: float, base: float, reserve: float, least: int, most: int) -> Site:
        engine, settings = one.model.engine, self._fleet.autoscaling
        assert engine is not None
        request_usd = settings.work.late_request_usd or self._settings.missed_request_usd
        usd = usd_per_replica_hour(one.model)
        missed_usd = request_usd * HOUR_S / work_of(one.mix, weights(settings))
        if engine.gpu not in settings.budget.gpus:  # what the policy asks for stands, but for a rest of a replica
            missed_usd = max(missed_usd, usd / (REST * usable))
        return Site(
            model=one.model.id,
            usd=usd,
            usable=usable,
            base=base,
            reserve=reserve,
            least=least,
            most=most,
            present=self._present(one),
            missed_usd=missed_usd,
            gpu=engine.gpu or "",
            gpus=engine.workers if engine.device == "gpu" else 0,
            outside=engine.workers * one.replicas.draining if engine.device == "gpu" else 0,
        )

    def _missing(self, one: _Known, work: float) -> float:
        """What the needed replicas have to do besides the work that is known of: a backlog, or full caches."""
        if not one.needed or one.needed <= ceil(work / one.usable - ROUNDING):
            return 0.0
        last = 1.0 if one.plan.reason.code in FULL else SOME
        return max((one.needed - 1 + last) * one.usable - work, 0.0)

    def _waiting(self, one: _Known, usable: float) -> float:
        """Work that requests which wait are worth, where they are the reason for more replicas."""
        if one.plan.reason.code not in FULL:
            return 0.0
        return max(one.needed * usable - one.arriving, 0.0)

    def _present(self, one: _Known) -> int:
        """Replicas that need not be started: those of the plan before, as far as they are there.

        Those that only the scale-down window keeps do not count: of two numbers that cost the same the one that was
        planned before stays, or each model would be kept at the larger of its two.
        """
        there = min(one.replicas.running + one.replicas.starting, one.replicas.target)
        rounds = self._history.model(one.model, self._fleet.autoscaling).rounds
        before = rounds[-1].needed if rounds else None
        return there if before is None else min(there, before)

    def _windowed(self, one: _Known) -> int:
        """Replicas that the scale-down window keeps: `autoscaling.bounds` looks at the same rounds."""
        settings = self._fleet.autoscaling
        past = self._history.model(one.model, settings)
        begin = self._raw.at - max(settings.pace.scale_down_window_s, horizon_s(past, settings))
        if not past.rounds or past.rounds[0].at > begin:
            return one.replicas.target
        return max((r.needed for r in past.since(begin) if r.needed is not None), default=0)

    def _roads(self, sites: Mapping[str, Site], *, reserve: bool) -> dict[Lane, Road]:
        found: dict[Lane, Road] = {}
        for source, one in self.known.items():
            if not one.needed:
                continue
            told = self._flows.natural.get(source, {})
            whole = max(one.arrivals, sum(told.values()))
            for language, rate in told.items():
                part = rate / whole if rate > 0 else 0.0
                if part <= 0:
                    continue
                for other in stand_ins(self._fleet, language).get(source, ()):
                    if other.to in sites:
                        lane = Lane(language, source, other.to)
                        found[lane] = self._road(lane, one, other, part, reserve)
        return found

    def _road(self, lane: Lane, one: _Known, other: StandIn, part: float, reserve: bool) -> Road:
        to, mix, worth = self.known[other.to], one.mix, weights(self._fleet.autoscaling)
        there = Mix(mix.prompt * other.prompt, mix.output * other.output, mix.cached * other.prompt)
        work = work_of(mix, worth)
        fits = context_share(mix.prompt, mix.output, other, to.model.context_tokens)
        base = min(one.arriving, one.expected) if reserve else one.arriving
        return Road(
            lane,
            base * part,
            max(one.expected - base, 0.0) * part if reserve else 0.0,
            work_of(there, worth) / work,
            max(MOST_SHARE * fits, SOME),
            min(self._in_force.get(lane, 0.0), MOST_SHARE * fits),
            self._dearer(one.model, mix, to.model, there) / work * HOUR_S,
        )

    def _dearer(self, model: Model, mix: Mix, to: Model, there: Mix) -> float:
        """USD by which a request's tokens cost more there, where list prices count."""
        if self._settings.price_basis != "list":
            return 0.0
        return max(_usd(to, there) - _usd(model, mix), 0.0)


def kept(in_force: tuple[Shift, ...], told: Flows, known: Mapping[str, _Known]) -> tuple[Shift, ...]:
    """The shifts that nobody can judge now: their language's flow, or one of their models, is not known."""
    return tuple(
        one for one in in_force if one.source not in told.natural or one.source not in known or one.to not in known
    )


def _usd(model: Model, mix: Mix) -> float:
    price = rates(model)
    fresh = max(mix.prompt - mix.cached, 0.0) * price.input_usd_per_mtok
    cached = mix.cached * (price.cached_input_usd_per_mtok or 0.0)
    return (fresh + cached + mix.output * price.output_usd_per_mtok) / 1e6
