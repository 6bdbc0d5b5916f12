"""Several policies over the same traffic, each in a process of its own: the same figures as one after the other."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Final

from autoscaling.policies import POLICIES, Static
from autoscaling.policies.joint import joined
from autoscaling.policy import Policy
from autoscaling.simulate.clairvoyant import Clairvoyant
from autoscaling.simulate.conditions import Conditions
from autoscaling.simulate.outcome import Outcome
from autoscaling.simulate.run import World, simulate
from autoscaling.simulate.traces import Trace
from serve.fleet import Fleet

CLAIRVOYANT: Final = "clairvoyant"


def known() -> tuple[str, ...]:
    """Names of all policies that can be simulated: those of the description, and the one that knows what comes."""
    return (*POLICIES, CLAIRVOYANT)


def scaling() -> tuple[str, ...]:
    """Those of them that change anything."""
    return tuple(name for name in known() if name != Static.name)


def made(name: str, fleet: Fleet, traffic: Mapping[str, Trace], conditions: Conditions) -> Policy:
    """The policy of that name. `clairvoyant@0.6` plans for 60% use of a replica, `clairvoyant` for the description's
    `target_utilisation`. Raises KeyError for a name that is not `known`, ValueError for such a use.
    """
    base, at, use = name.partition("@")
    if base != CLAIRVOYANT:
        return joined(POLICIES[name], fleet)
    try:
        utilisation = float(use) if at else fleet.autoscaling.work.target_utilisation
    except ValueError:
        raise ValueError(f"utilisation {use!r}: above 0 and at most 1") from None
    return Clairvoyant(traffic, fleet, conditions.node_s + conditions.cold_start_s, utilisation)


@dataclass(frozen=True, slots=True)
class Job:
    """A policy by its name, as `made` knows it, and everything that it is simulated with."""

    policy: str
    fleet: Fleet
    traffic: Mapping[str, Trace]
    conditions: Conditions
    world: World = "fluid"

    def run(self) -> Outcome:
        """Of the policy by the job's name for it. Raises what `made` does, ValueError for traffic that cannot be."""
        policy = made(self.policy, self.fleet, self.traffic, self.conditions)
        outcome = simulate(self.fleet, self.traffic, policy, self.conditions, self.world)
        return replace(outcome, policy=self.policy)


def run_all(jobs: Sequence[Job], processes: int) -> Iterator[tuple[int, Outcome]]:
    """Each job's number and outcome, as they end. One process: in this one, one after the other.

    Raises what a job raises; `concurrent.futures.process.BrokenProcessPool` where a process dies.
    """
    if processes <= 1 or len(jobs) <= 1:
        for number, job in enumerate(jobs):
            yield number, job.run()
        return
    # Spawned, so that nothing of this process (threads, open sockets) is carried over.
    pool = ProcessPoolExecutor(min(processes, len(jobs)), get_context("spawn"), _end_when_interrupted)
    try:
        numbers = {pool.submit(job.run): number for number, job in enumerate(jobs)}
        for done in as_completed(numbers):
            yield numbers[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _end_when_interrupted() -> None:
    """At once and in silence: whoever reads the outcomes tells."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
