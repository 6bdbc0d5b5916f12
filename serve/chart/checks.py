"""What the chart's checks of a fleet need: its schema, the words for what is allowed, and the room of every shape.

Helm has no schema for a fleet that is given as text, so templates walk this one; and they know no memory arithmetic.
"""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel

from serve.fleet import catalogue
from serve.fleet import schema as fleet_schema
from serve.fleet.base import PATTERNS
from serve.fleet.card import Architecture, Licence, ModelCard, Price, Template
from serve.fleet.engine import RESERVED_FLAGS, Engine
from serve.fleet.gpus import gpus
from serve.fleet.memory import DTYPE_BYTES
from serve.fleet.shapes import DEGREES, LEAST_PROPOSED_TOKENS, architecture, even_degrees, kv_room_tokens
from serve.fleet.slo import ITL_BOUNDS_S, TTFT_BOUNDS_S

Json = dict[str, Any]
PARTS: Final[dict[str, type[BaseModel]]] = {
    "card": ModelCard,
    "card.licence": Licence,
    "card.architecture": Architecture,
    "card.template": Template,
    "card.price": Price,
}
"""Of an own model, which has no catalogue entry below it: the schema of `card:` asks for nothing."""
SAID_ELSEWHERE: Final = ("title", "description", "default")
"""Of a schema: what a check does not read."""


def checks() -> Json:
    """All of it, for files/checks.json."""
    return {
        "schema": _bare(fleet_schema.json_schema()),
        "patterns": PATTERNS,
        "reservedFlags": RESERVED_FLAGS,
        "fp8": [name for name, gpu in gpus().items() if gpu.fp8],
        "bounds": {"ttft_s": list(TTFT_BOUNDS_S), "itl_s": list(ITL_BOUNDS_S)},
        "dtypeBytes": DTYPE_BYTES,
        "card": {path: _required(part) for path, part in PARTS.items()},
        "models": {name: _model(ModelCard.model_validate(catalogue.raw(name))) for name in catalogue.names()},
        "tiny": _tiny(),
    }


def _required(part: type[BaseModel]) -> list[str]:
    return [name for name, field in part.model_fields.items() if field.is_required()]


def _model(card: ModelCard) -> Json:
    """`rooms`: by GPU and weights, the tokens of KV cache that the degrees of one node leave, at the engine's defaults;
    a degree without room for a short context is left out."""
    arch = card.architecture
    shapes = _splits(arch) | {"rooms": {name: _rooms(card, name) for name in gpus()}} if arch else {}
    return {"priced": card.price is not None, **shapes}


def _tiny() -> Json:
    """Of the small random models that `weights: tiny` stands for: all have one shape."""
    shapes = {
        json.dumps(_splits(arch))
        for card in (ModelCard.model_validate(catalogue.raw(name)) for name in catalogue.names())
        if (arch := architecture(card, Engine(weights="tiny"))) is not None
    }
    (one,) = shapes
    found: Json = json.loads(one)
    return found


def _splits(arch: Architecture) -> Json:
    """`even`: the tensor-parallel degrees that split the model evenly; and what its KV cache follows from."""
    return {"even": even_degrees(arch), "layers": arch.layers, "kvHeads": arch.kv_heads, "headDim": arch.head_dim}


def _rooms(card: ModelCard, gpu: str) -> Json:
    assert card.architecture is not None
    found: Json = {}
    degrees = [degree for degree in even_degrees(card.architecture) if degree in DEGREES]
    for weights in ("bfloat16", "fp8") if gpus()[gpu].fp8 else ("bfloat16",):
        base = Engine(gpu=gpu, quantization="fp8" if weights == "fp8" else None)
        rooms = {d: kv_room_tokens(card, base.model_copy(update={"tensor_parallel": d})) or 0 for d in degrees}
        found[weights] = {str(degree): room for degree, room in rooms.items() if room >= LEAST_PROPOSED_TOKENS}
    return found


def _bare(part: Any, names: bool = False) -> Any:
    """A schema without what stands elsewhere. `names`: the keys of this mapping are fields, not keywords."""
    if isinstance(part, dict):
        return {
            key: _bare(value, key in ("properties", "patternProperties", "$defs") and not names)
            for key, value in part.items()
            if names or key not in SAID_ELSEWHERE
        }
    return [_bare(one) for one in part] if isinstance(part, list) else part
