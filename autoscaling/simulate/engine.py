"""One replica, step by step, as vLLM's V1 scheduler does it: continuous batching, chunked prefill, preemption.

Every step gives a token to each sequence that decodes, and reads prompts with what is left of the token budget, first
come first served. The KV cache is dealt out in blocks of 16 tokens, as they are computed; a prompt is begun when all of
it fits what is free, nothing is reserved for its answer, and nothing is kept back (`scheduler_reserve_full_isl` and a
`watermark` of 0, vLLM 0.32's defaults). When a sequence needs a block and there is none, the youngest sequence gives
its own back and is first in the queue again, to be read anew with what it has written (recomputation); no prompt is
begun in such a step. What nobody has taken of its blocks until then is found again (prefix caching; those that are free
longest are taken first). Steps take what the roofline says.

What vLLM does and this does not: prompts share no prefixes here (traces do not tell of them), and with asynchronous
scheduling vLLM frees the blocks of an ended sequence a step late.

While sequences only decode, nothing happens until one ends: those steps are summed up in closed form.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass

from autoscaling.simulate.blocks import BLOCK_TOKENS, Blocks, blocks_of
from autoscaling.simulate.request import Progress, Request
from autoscaling.simulate.steps import Steps


@dataclass(slots=True)
class _Prefill:
    request: Request
    tokens: int  # of the prompt, and of what was written before a preemption
    read: int = 0


class Engine:
    """A replica that runs from `start_s` on. Not for several threads.

    Time goes by in `until` only; a step that has begun by then is in flight, and nobody has its tokens yet. `open` is
    how many requests it has, and does not change before `quiet_s` unless one is submitted.
    """

    def __init__(self, steps: Steps, kv_tokens: int, start_s: float, progress: Progress | None = None) -> None:
        self.progress = progress or Progress()
        self.open = 0
        self.quiet_s = math.inf
        self._steps = steps
        self._budget, self._sequences = steps.roof.layout.batched_tokens, steps.roof.layout.sequences
        self._cache = Blocks(kv_tokens)
        self._now = start_s
        self._waiting: deque[Request] = deque()
        self._head: _Prefill | None = None  # a prompt that is read in part; the youngest of the batch
        # By order of admission: request and base; in step s it holds base + s tokens.
        self._decoding: dict[int, tuple[Request, int]] = {}
        self._order = 0
        self._context = 0  # tokens of all that decode
        self._phases = [0] * BLOCK_TOKENS  # how many of them have a base of this remainder
        self._ends: list[tuple[int, int]] = []  # (step, order): a heap; those that were preempted stay in it
        # The step in flight: its number, end and time, the tokens it reads, the prompts that are whole after it.
        self._step = 0
        self._until_s = math.inf
        self._took_s = 0.0
        self._read = 0
        self._whole: list[_Prefill] = []

    @property
    def waiting(self) -> int:
        """Requests that are not in the batch."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests in the batch."""
        return self.open - len(self._waiting)

    @property
    def kv_use(self) -> float:
        """Share of the KV cache in use."""
        return self._cache.held / self._cache.total

    @property
    def context_tokens(self) -> int:
        """Most tokens that a request may have: all of the KV cache."""
        return self._cache.total * BLOCK_TOKENS

    def submit(self, request: Request, at_s: float) -> None:
        """Takes a request at a time to which `until` has come; the next step looks at it.

        An answer is cut where the context ends. Raises ValueError: the prompt leaves no room for an answer.
        """
        room = self.context_tokens - request.prompt
        if room < 1:
            raise ValueError(f"a prompt of {request.prompt} tokens and an answer in {self.context_tokens} of KV cache")
        request.output = min(request.output, room)
        request.cached = 0
        if not self.open:
            # An empty step, so that whatever else comes at this very moment is in the same batch.
            self._until_s = self._now = max(self._now, at_s)
        self.open += 1
        self._waiting.append(request)
        self.quiet_s = self._until_s

    def until(self, at_s: float) -> None:
        """Does all steps that end before `at_s`, and begins the next one."""
        if self._until_s >= at_s:
            return
        while self._until_s < at_s:
            self._end_step()
            if not self.open:
                self._until_s = self.quiet_s = math.inf
                return
            if not self._waiting and self._head is None:
                self._leap(at_s)
            self._begin_step()
        self.quiet_s = self._quiet_until()

    def abandon(self) -> list[Request]:
        """Ends at once, as a replica that dies; the requests that it had, oldest first."""
        left = [request for request, _ in self._decoding.values()]
        left += [one.request for one in self._whole]
        left += [self._head.request] if self._head else []
        left += self._waiting
        for parts in (self._decoding, self._whole, self._waiting, self._ends, self._cache):
            parts.clear()
        self._head = None
        self._phases = [0] * BLOCK_TOKENS
        self.open = self._context = self._read = 0
        self._until_s = self.quiet_s = math.inf
        return left

    def _begin_step(self) -> None:
        """Gives out the tokens of the next step, and says when it ends."""
        self._step += 1
        preempted = self._make_room()
        decoding = len(self._decoding)
        self._context += decoding
        pairs = 0.0
        self._read = 0
        if not preempted:
            budget = self._budget - decoding
            while budget > 0 and (self._head or self._admit(decoding)):
                head = self._head
                assert head is not None
                chunk = min(head.tokens - head.read, budget)
                budget -= chunk
                # A token attends to all before it: on average, to half the chunk and what was read earlier.
                pairs += chunk * (2 * head.read + chunk)
                self._cache.take(blocks_of(head.read + chunk) - blocks_of(head.read))
                self._read += chunk
                head.read += chunk
                if head.read == head.tokens:
                    self._whole.append(head)
                    self._head = None
        self._took_s = self._steps.step_s(decoding, self._context, self._read, pairs)
        self._until_s = self._now + self._took_s

    def _make_room(self) -> bool:
        """Takes the blocks that this step's sequences need; whether the youngest had to give theirs back for it."""
        preempted = False
        while True:
            needed = self._phases[(1 - self._step) % BLOCK_TOKENS]
            head = self._head
            if head:
                chunk = min(head.tokens - head.read, self._budget - len(self._decoding))
                needed += blocks_of(head.read + chunk) - blocks_of(head.read)
            if needed <= self._cache.free:
                break
            self._preempt()
            preempted = True
        self._cache.take(self._phases[(1 - self._step) % BLOCK_TOKENS])
        return preempted

    def _preempt(self) -> None:
        """The youngest gives its blocks back, and waits before all others."""
        if self._head:
            request, tokens = self._head.request, self._head.read
            self._head = None
        else:
            order = next(reversed(self._decoding))
            request = self._decoding[order][0]
            tokens = self._leave(order, self._step - 1)
            request.written = tokens + 1 - request.prompt
        self._cache.remember(request, tokens)
        if request.written:
            request.paused_s = self._now
        request.preemptions += 1
        self.progress.preemptions += 1
        self._waiting.appendleft(request)

    def _admit(self, decoding: int) -> bool:
        """Begins the next prompt, where there is one and it fits."""
        if not self._waiting or decoding + len(self._whole) >= self._sequences:
            return False
        request = self._waiting[0]
        tokens = request.prompt + request.written
        if blocks_of(tokens) > self._cache.free:
            return False
        self._waiting.popleft()
        self._head = _Prefill(request, tokens, self._cache.recall(request))
        return True

    def _end_step(self) -> None:
        """Everyone has the tokens of the step in flight."""
        self._now = self._until_s
        step, progress = self._step, self.progress
        decoding = len(self._decoding)
        progress.wrote += decoding
        progress.gaps += decoding
        if self._took_s <= progress.itl_s:
            progress.gaps_within += decoding
        progress.read += self._read
        while self._ends and self._ends[0][0] <= step:
            order = heapq.heappop(self._ends)[1]
            if order in self._decoding:
                request = self._decoding[order][0]
                self._cache.give(self._leave(order, step))
                self._end(request)
        for prefill in self._whole:
            self._decode(prefill)
        self._whole.clear()
        self._read = 0

    def _decode(self, prefill: _Prefill) -> None:
        """A prompt is read: its next token is there."""
        request, progress = prefill.request, self.progress
        request.written += 1
        progress.wrote += 1
        if request.written == 1:
            request.first_s = self._now
            progress.answered.append(request)
        else:
            progress.gaps += 1
            progress.gaps_within += self._now - request.paused_s <= progress.itl_s
        if request.written >= request.output:
            self._cache.give(prefill.tokens)
            self._end(request)
            return
        self._order += 1
        base = prefill.tokens - self._step
        self._decoding[self._order] = (request, base)
        self._phases[base % BLOCK_TOKENS] += 1
        self._context += prefill.tokens
        heapq.heappush(self._ends, (self._step + request.output - request.written, self._order))

    def _leave(self, order: int, step: int) -> int:
        """Takes a sequence out of the batch; the tokens that it held in that step."""
        base = self._decoding.pop(order)[1]
        self._phases[base % BLOCK_TOKENS] -= 1
        self._context -= base + step
        return base + step

    def _end(self, request: Request) -> None:
        request.written, request.end_s = request.output, self._now
        self.open -= 1
        self.progress.ended.append(request)

    def _leap(self, at_s: float) -> None:
        """Does the steps in which nothing but decoding happens: they end before `at_s`, before any sequence does, and
        need no more blocks than are free."""
        decoding = len(self._decoding)
        count = self._next_end() - self._step - 1
        count = min(count, self._cache.free // decoding * BLOCK_TOKENS)
        if count < 1:
            return
        # Step j of these takes first + j x more.
        more = self._steps.gather_s * decoding
        first = self._steps.batch_s(decoding) + self._steps.gather_s * self._context
        slope = first + more / 2
        left = at_s - self._now
        count = int(min(count, (math.sqrt(slope * slope + 2 * more * left) - slope) / more))
        while count > 0 and self._now + count * (slope + more * count / 2) >= at_s:
            count -= 1
        if count < 1:
            return
        self._now += count * (slope + more * count / 2)
        whole, rest = divmod(count, BLOCK_TOKENS)
        needed = whole * decoding + sum(self._phases[-(self._step + j) % BLOCK_TOKENS] for j in range(rest))
        self._cache.take(needed)
        self._step += count
        self._context += decoding * count
        self.progress.wrote += decoding * count
        self.progress.gaps += decoding * count
        within = (self.progress.itl_s - first) / more
        self.progress.gaps_within += decoding * int(min(max(within, 0), count))

    def _next_end(self) -> int:
        """The step at which the next sequence ends; only while some decode."""
        while self._ends[0][1] not in self._decoding:
            heapq.heappop(self._ends)
        return self._ends[0][0]

    def _quiet_until(self) -> float:
        """When the next request may end, if none comes."""
        decoding = len(self._decoding)
        if self._waiting or self._head or self._whole or not decoding:
            return self._until_s
        count = self._next_end() - self._step
        if count < 1 or decoding * (count // BLOCK_TOKENS + 1) > self._cache.free:
            return self._until_s
        first = self._steps.batch_s(decoding) + self._steps.gather_s * self._context
        more = self._steps.gather_s * decoding
        # Less a microsecond: steps are summed up in another order here.
        return self._until_s + count * (first + more * (count + 1) / 2) - 1e-6
