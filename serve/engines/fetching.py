"""Which files of a hub repository an engine needs, and why it may not get them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

# Exit codes of sysexits.h.
UNAVAILABLE, IO_ERROR, NO_PERMISSION, CONFIG = 69, 74, 77, 78


class NotFetched(Exception):
    """Why there are no weights, in a sentence, and the exit code that says of what kind it is."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


SMALL = (".json", ".jsonl", ".txt", ".model", ".jinja", ".tiktoken", ".py")
# As vLLM prefers them.
FORMS: tuple[Callable[[str], bool], ...] = (
    lambda name: name.endswith(".safetensors") and not name.startswith("consolidated"),
    lambda name: name.endswith(".safetensors"),
    lambda name: name.startswith("pytorch_model") and name.endswith(".bin"),
    lambda name: name.endswith(".bin") and name != "training_args.bin",
    lambda name: name.endswith(".pt"),
)


def wanted(names: Iterable[str]) -> list[str]:
    """Of a repository's files those that vLLM loads, sorted: configuration, tokenizer, and one form of the weights.

    Repositories hold more: Llama's `original/` is a second copy of all weights, and `consolidated*` another one. In
    folders there is nothing that vLLM reads.
    """
    top = sorted({name for name in names if "/" not in name})
    small = [name for name in top if name.endswith(SMALL)]
    for fits in FORMS:
        if weights := [name for name in top if fits(name)]:
            return sorted({*small, *weights})
    return small
