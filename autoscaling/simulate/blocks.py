"""An engine's KV cache: how many blocks are in use, and which free ones still hold what a preempted request had."""

from __future__ import annotations

from autoscaling.simulate.request import Request

# vLLM's block size on GPUs.
BLOCK_TOKENS = 16


def blocks_of(tokens: int) -> int:
    """Blocks that hold so many tokens of one sequence."""
    return -(-tokens // BLOCK_TOKENS)


class Blocks:
    """Free blocks are taken in the order in which they became free, except that those which cannot be found again (they
    are not full) are taken first. A preempted request finds what nobody has taken: as vLLM's block pool with prefix
    caching, told without a list of blocks.

    That needs no list as long as the request that was preempted last is the first to come back.
    """

    def __init__(self, kv_tokens: int) -> None:
        self.total = kv_tokens // BLOCK_TOKENS
        self.held = 0
        self._remembered: list[Request] = []  # that wait, and have cached blocks

    @property
    def free(self) -> int:
        """Blocks that nobody uses."""
        return self.total - self.held

    def clear(self) -> None:
        """Frees and forgets everything."""
        self.held = 0
        self._remembered.clear()

    def take(self, blocks: int) -> None:
        """Puts free blocks to use."""
        self.held += blocks
        for one in self._remembered:
            one.ahead -= blocks
            if one.ahead < 0:
                one.cached = max(one.cached + one.ahead, 0)
                one.ahead = 0

    def give(self, tokens: int) -> None:
        """Frees the blocks of a sequence of so many tokens."""
        self.held -= blocks_of(tokens)
        if tokens % BLOCK_TOKENS:
            for one in self._remembered:
                one.ahead += 1

    def remember(self, request: Request, tokens: int) -> None:
        """Frees the blocks of a preempted request, which may find them again."""
        self.give(tokens)
        request.cached = tokens // BLOCK_TOKENS
        request.ahead = self.free - request.cached
        self._remembered.append(request)

    def recall(self, request: Request) -> int:
        """Takes what is left of a request; the tokens in it."""
        found = request.cached
        if self._remembered:
            self.held += found
            self._remembered = [one for one in self._remembered if one.cached and one is not request]
        return found * BLOCK_TOKENS
