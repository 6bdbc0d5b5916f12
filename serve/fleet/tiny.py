"""Dimensions of the tiny models that stand for the real ones where there is no GPU.

The builder (`serve.engines.tiny`) makes them and `serve.fleet.shapes` checks parallelism against them: one place, so
that a shape that the check lets pass is one that the engine can run.
"""

from __future__ import annotations

from typing import Final

# Four heads over two KV heads is the smallest grouped-query attention that tensor parallel 2 splits evenly; a head of
# 32 is the smallest that vLLM's CPU attention takes (measured, for Llama, Gemma 2 and Mistral alike).
LAYERS: Final = 2
HIDDEN: Final = 128
FFN: Final = 256
HEADS: Final = 4
KV_HEADS: Final = 2
HEAD_DIM: Final = 32

# A byte-level BPE: 256 bytes, the special tokens, and merges learnt from a little text.
VOCAB: Final = 2000
