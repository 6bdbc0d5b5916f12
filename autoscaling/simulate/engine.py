"""One replica, step by step, as vLLM schedules: continuous batching, chunked prefill, KV room, preemption.

Every step gives a token to each sequence that decodes, and reads prompts with what is left of the token budget, first
come first served. A prompt is begun when it fits the free KV cache; nothing is reserved for its answer, so that a full
cache preempts the youngest sequence, which is read again from its beginning (recomputation). Steps take what the
roofline says.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

from autoscaling.capacity.roofline import Roofline
from autoscaling.simulate.traces import Arrival

# vLLM keeps this share of its blocks free when it begins a prompt (`watermark` of its block manager).
WATERMARK = 0.01


@dataclass(slots=True)
class Request:
    """One request on its way. Times in seconds; `first_s` and `end_s` are NaN until they come."""

    arrival: Arrival
    first_s: float = math.nan
    end_s: float = math.nan
    written: int = 0  # tokens that the client has
    preemptions: int = 0

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.first_s - self.arrival.at_s

    @property
    def itl_s(self) -> float:
        """Mean inter-token latency; 0 for an answer of one token."""
        return (self.end_s - self.first_s) / (self.arrival.output - 1) if self.arrival.output > 1 else 0.0


@dataclass(slots=True)
class _Prefill:
    request: Request
    prompt: int
    left: int


class Engine:
    """A replica that runs from `start_s` on. Not for several threads."""

    def __init__(self, roof: Roofline, kv_tokens: int, start_s: float) -> None:
        self._roof = roof
        self._kv = kv_tokens
        self.now = start_s
        self._step = 0
        self._waiting: deque[Request] = deque()
        self._prefills: deque[_Prefill] = deque()
        self._ends: list[tuple[int, int, Request]] = []  # (step at which it ends, order, request): a heap
        self._order = 0
        self._decoding: dict[int, tuple[int, int]] = {}  # by order: context when it began to decode, and that step
        self._context = 0  # tokens of all that decode
        self._reading = 0  # tokens of prompts that are being read
        self.worked_prompt = 0
        self.worked_output = 0

    @property
    def open(self) -> int:
        """Requests that it has."""
        return len(self._waiting) + len(self._prefills) + len(self._decoding)

    @property
    def waiting(self) -> int:
        """Requests that are not in the batch."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests in the batch."""
        return len(self._prefills) + len(self._decoding)

    @property
    def kv_use(self) -> float:
        """Share of the KV cache in use."""
        return min((self._context + self._reading) / self._kv, 1.0)

    def submit(self, request: Request) -> None:
        """Takes a request; it is looked at in the next step."""
        if not self.open:
            self.now = max(self.now, request.arrival.at_s)
        self._waiting.append(request)

    def until(self, at_s: float) -> list[Request]:
        """Runs until `at_s` or a step beyond; the requests that ended."""
        ended: list[Request] = []
        while self.now < at_s and self.open:
            self._one_step(ended)
        self.now = max(self.now, at_s) if not self.open else self.now
        return ended

    def abandon(self) -> list[Request]:
        """Ends at once, as a replica that dies; the requests that it had, oldest first."""
        left = [*(one for _, order, one in sorted(self._ends, key=lambda e: e[1]) if order in self._decoding)]
        left += [one.request for one in self._prefills]
        left += self._waiting
        self._waiting.clear()
        self._prefills.clear()
        self._decoding.clear()
        self._ends.clear()
        self._context = self._reading = 0
        return left

    def _one_step(self, ended: list[Request]) -> None:
        decoding = len(self._decoding)
        context = self._context / decoding if decoding else 0.0
        read, pairs, done = self._schedule(decoding)
        self.now += self._roof.step_s(decoding, context, read, pairs / read if read else 0.0)
        self._step += 1
        self._context += decoding
        self.worked_output += decoding
        self.worked_prompt += read
        while self._ends and self._ends[0][0] <= self._step:
            _, order, request = heapq.heappop(self._ends)
            if order in self._decoding:
                self._leave(order)
                request.end_s, request.written = self.now, request.arrival.output
                ended.append(request)
        for prefill in done:
            self._begin(prefill, ended)
        while self._context + self._reading > self._kv and len(self._decoding) > 1:
            self._preempt()

    def _schedule(self, decoding: int) -> tuple[int, float, list[_Prefill]]:
        """Prompt tokens that this step reads, those times the lengths of their prompts, and prompts that are whole."""
        budget = self._roof.layout.batched_tokens - decoding
        read, pairs = 0, 0.0
        done: list[_Prefill] = []
        self._admit(decoding)
        while budget > 0 and self._prefills:
            head = self._prefills[0]
            chunk = min(head.left, budget)
            head.left -= chunk
            budget -= chunk
            read += chunk
            pairs += chunk * head.prompt
            if head.left:
                break
            done.append(self._prefills.popleft())
            self._admit(decoding + len(done))
        return read, pairs, done

    def _admit(self, decoding: int) -> None:
        """Begins the next prompt where no other is being read, and it fits."""
        if self._prefills or not self._waiting or decoding >= self._roof.layout.sequences:
            return
        request = self._waiting[0]
        # What it has written before it was preempted is read again.
        prompt = max(request.arrival.prompt, 1) + request.written
        free = self._kv - self._context - self._reading
        if prompt > free - WATERMARK * self._kv and (self._decoding or self._reading):
            return
        self._waiting.popleft()
        self._reading += prompt
        self._prefills.append(_Prefill(request, prompt, prompt))

    def _begin(self, prefill: _Prefill, ended: list[Request]) -> None:
        """A prompt is read: its next token is there."""
        request = prefill.request
        self._reading -= prefill.prompt
        self.worked_output += 1
        if math.isnan(request.first_s):
            request.first_s = self.now
        request.written += 1
        left = request.arrival.output - request.written
        if left <= 0:
            request.end_s = self.now
            ended.append(request)
            return
        self._order += 1
        self._decoding[self._order] = (prefill.prompt + 1, self._step)
        self._context += prefill.prompt + 1
        heapq.heappush(self._ends, (self._step + left, self._order, request))

    def _leave(self, order: int) -> int:
        """Takes a sequence out of the batch; the tokens that it wrote there."""
        began, step = self._decoding.pop(order)
        wrote = self._step - step
        self._context -= began + wrote
        return wrote

    def _preempt(self) -> None:
        order = max(self._decoding)
        request = next(one for _, number, one in self._ends if number == order)
        request.written += self._leave(order)
        request.preemptions += 1
        self._waiting.appendleft(request)
