"""Several policies over the same traffic, each in a process of its own: the same figures as one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

from autoscaling.policies import POLICIES, Static
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


@dataclass(frozen=True, slots=True)
class Job:
    """A policy by its name, and everything that it is simulated with."""

    policy: str
    fleet: Fleet
    traffic: Mapping[str, Trace]
    conditions: Conditions
    world: World = "fluid"

    def run(self) -> Outcome:
        """Raises KeyError for a policy that is not `known`, ValueError for traffic that cannot be simulated."""
        return simulate(self.fleet, self.traffic, self._made(), self.conditions, self.world)

    def _made(self) -> Policy:
        if self.policy != CLAIRVOYANT:
            return POLICIES[self.policy]
        work = self.fleet.autoscaling.work
        return Clairvoyant(self.traffic, self.fleet, self.conditions.cold_start_s, work.target_utilisation)


def run_all(jobs: Sequence[Job], processes: int) -> Iterator[tuple[int, Outcome]]:
    """Each job's number and outcome, as they end. One process: in this one, one after the other.

    Raises what a job raises; `concurrent.futures.process.BrokenProcessPool` where a process dies.
    """
    if processes <= 1 or len(jobs) <= 1:
        for number, job in enumerate(jobs):
            yield number, job.run()
        return
    # Spawned, so that nothing of this process (threads, open sockets) is carried over.
    pool = ProcessPoolExecutor(min(processes, len(jobs)), mp_context=get_context("spawn"))
    try:
        numbers = {pool.submit(job.run): number for number, job in enumerate(jobs)}
        for done in as_completed(numbers):
            yield numbers[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)
