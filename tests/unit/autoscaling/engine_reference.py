"""vLLM's scheduling told once more, sequence by sequence and block by block, in the shortest way: no sums, no leaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.traces import Arrival

BLOCK = 16


@dataclass(eq=False)
class Job:
    """One request: tokens that are computed, blocks that hold them, and when each of its own tokens was written."""

    arrival: Arrival
    computed: int = 0
    blocks: int = 0
    at_s: list[float] = field(default_factory=list)
    preemptions: int = 0
    reads: bool = True  # its prompt, or what it had before it was preempted

    @property
    def tokens(self) -> int:
        return max(self.arrival.prompt, 1) + len(self.at_s)


class Cache:
    """Free blocks in the order in which they are taken; a full one is still known by what it holds."""

    def __init__(self, blocks: int) -> None:
        self.total = blocks
        self.free: list[tuple[Job, int] | None] = [None] * blocks

    def take(self, job: Job, tokens: int) -> bool:
        """Blocks for so many tokens more, if they are free."""
        missing = -(-(job.computed + tokens) // BLOCK) - job.blocks
        if missing > len(self.free):
            return False
        del self.free[:missing]
        job.blocks += missing
        return True

    def give(self, job: Job) -> None:
        full = job.computed // BLOCK
        self.free[:0] = [None] * (job.blocks - full)
        self.free += [(job, index) for index in reversed(range(full))]
        job.blocks = 0

    def find(self, job: Job) -> None:
        """Takes what is still known of it, as far as that is whole; its last token is computed anyway."""
        while (job, job.blocks) in self.free and (job.blocks + 1) * BLOCK < job.tokens:
            self.free.remove((job, job.blocks))
            job.blocks += 1
        job.computed = job.blocks * BLOCK


def replay(roof: Roofline, kv_tokens: int, arrivals: Sequence[Arrival]) -> list[Job]:
    """All requests, answered. `arrivals` in the order of their times."""
    jobs = [Job(arrival) for arrival in arrivals]
    coming, waiting, running = list(jobs), list[Job](), list[Job]()
    cache = Cache(kv_tokens // BLOCK)
    now = 0.0
    while coming or waiting or running:
        if not waiting and not running:
            now = max(now, coming[0].arrival.at_s)
        while coming and coming[0].arrival.at_s <= now:
            waiting.append(coming.pop(0))
        scheduled = _schedule(roof, cache, waiting, running)
        now += _seconds(roof, scheduled)
        for job, count in scheduled.items():
            job.computed += count
            if job.computed == job.tokens:
                job.at_s.append(now)
                job.reads = False
                if len(job.at_s) == max(job.arrival.output, 1):
                    running.remove(job)
                    cache.give(job)
        assert sum(job.blocks for job in running) + len(cache.free) == cache.total
    return jobs


def _schedule(roof: Roofline, cache: Cache, waiting: list[Job], running: list[Job]) -> dict[Job, int]:
    """How many tokens each computes in the next step, in the order of `running`."""
    budget = roof.layout.batched_tokens
    scheduled: dict[Job, int] = {}
    preempted = False
    for job in list(running):
        if job not in running or not budget:
            continue
        count = min(job.tokens - job.computed, budget)
        while job in running and not cache.take(job, count):
            youngest = running.pop()
            cache.give(youngest)
            youngest.computed, youngest.reads = 0, True
            youngest.preemptions += 1
            waiting.insert(0, youngest)
            preempted = True
        if job in running:
            scheduled[job] = count
            budget -= count
    while not preempted and waiting and budget > 0 and len(running) < roof.layout.sequences:
        job = waiting[0]
        if -(-job.tokens // BLOCK) > len(cache.free):
            break
        running.append(waiting.pop(0))
        cache.find(job)
        scheduled[job] = min(job.tokens - job.computed, budget)
        assert cache.take(job, scheduled[job])
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
