"""vLLM's scheduling told once more, sequence by sequence and block by block, in the shortest way: no sums, no leaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.traces import Arrival

BLOCK = 16


@dataclass(eq=False)
class Job:
    """One request: tokens that are computed, and when each of its own was written."""

    arrival: Arrival
    computed: int = 0
    at_s: list[float] = field(default_factory=list)
    preemptions: int = 0
    reads: bool = True  # its prompt, or what it had before it was preempted

    @property
    def tokens(self) -> int:
        return max(self.arrival.prompt, 1) + len(self.at_s)

    @property
    def blocks(self) -> int:
        return -(-self.computed // BLOCK)


def replay(roof: Roofline, kv_tokens: int, arrivals: Sequence[Arrival]) -> list[Job]:
    """All requests, answered. `arrivals` in the order of their times."""
    jobs = [Job(arrival) for arrival in arrivals]
    coming, waiting, running = list(jobs), list[Job](), list[Job]()
    total = kv_tokens // BLOCK
    now = 0.0
    while coming or waiting or running:
        if not waiting and not running:
            now = max(now, coming[0].arrival.at_s)
        while coming and coming[0].arrival.at_s <= now:
            waiting.append(coming.pop(0))
        scheduled = _schedule(roof, total, waiting, running)
        now += _seconds(roof, scheduled)
        for job, count in scheduled.items():
            job.computed += count
            if job.computed == job.tokens:
                job.at_s.append(now)
                job.reads = False
                if len(job.at_s) == max(job.arrival.output, 1):
                    running.remove(job)
        assert sum(job.blocks for job in running) <= total
    return jobs


def _schedule(roof: Roofline, total: int, waiting: list[Job], running: list[Job]) -> dict[Job, int]:
    """How many tokens each computes in the next step, in the order of `running`."""
    budget = roof.layout.batched_tokens
    scheduled: dict[Job, int] = {}

    def held() -> int:
        return sum(-(-(job.computed + scheduled.get(job, 0)) // BLOCK) for job in running)

    preempted = False
    index = 0
    while index < len(running) and budget > 0:
        job = running[index]
        count = min(job.tokens - job.computed, budget)
        scheduled[job] = count
        while held() > total:
            youngest = running.pop()
            scheduled.pop(youngest, None)
            youngest.computed, youngest.reads = 0, True
            youngest.preemptions += 1
            waiting.insert(0, youngest)
            preempted = True
        budget -= scheduled.get(job, 0)
        index += 1
    while not preempted and waiting and budget > 0 and len(running) < roof.layout.sequences:
        job = waiting[0]
        if held() + -(-job.tokens // BLOCK) > total:
            break
        running.append(waiting.pop(0))
        scheduled[job] = min(job.tokens, budget)
        budget -= scheduled[job]
    return scheduled


def _seconds(roof: Roofline, scheduled: dict[Job, int]) -> float:
    """The roofline's step; a token that is read attends to those before it, half its chunk on average."""
    decoding = [job for job in scheduled if not job.reads]
    chunks = [(job.computed, count) for job, count in scheduled.items() if job.reads]
    read = sum(count for _, count in chunks)
    pairs = sum(count * (2 * before + count) for before, count in chunks)
    context = sum(job.tokens for job in decoding) / len(decoding) if decoding else 0.0
    return roof.step_s(len(decoding), context, read, pairs / read if read else 0.0)
