"""One model is one Ray Serve application, and its replica's ASGI app is vLLM's own OpenAI server.

HAProxy streams straight from the replica's HTTP server, so a chunk costs what it costs under bare vLLM, and every
parameter that vLLM knows works.
"""

# No `from __future__ import annotations` here: Ray Serve reads the builder's annotation to validate `args`, and does
# not understand it as a string.
import asyncio
import os
import types
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

DEPLOYMENT = "vllm"


class EngineArgs(BaseModel):
    """`args:` of the Serve application: what a replica is built from.

    Any change restarts the replicas. What can change under load stands under `deployments:` instead
    (`serve.engines.config`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    argv: list[str] = Field(description="Words after `vllm serve` (serve.engines.flags.argv).")
    env: dict[str, str] = Field(default_factory=dict)
    workers: int = Field(default=1, ge=1, description="Processes of one engine: tensor times pipeline parallelism.")
    gpus: int = Field(default=0, ge=0, description="GPUs of one replica, all on one node; 0 runs on CPUs.")
    cpus: float = Field(default=1, gt=0, description="Ray CPUs of one replica.")
    resources: dict[str, float] = Field(
        default_factory=dict, description="Further Ray resources of one replica: they keep it on nodes that have them."
    )
    stop_token_ids: list[int] = Field(default_factory=list)
    stall_s: float = Field(default=300, gt=0)
    surge: bool = False


def build(args: EngineArgs) -> Any:
    """The Serve application (`import_path: serve.engines.application:build`)."""
    from ray import serve
    from ray.serve.config import BackpressureConfig

    bundle: dict[str, float] = {"CPU": args.cpus, **args.resources}
    if args.gpus:
        bundle["GPU"] = args.gpus
    return serve.deployment(
        serve.ingress()(VLLM),
        name=DEPLOYMENT,
        ray_actor_options={
            "num_cpus": args.cpus,
            "num_gpus": args.gpus,
            "runtime_env": {"env_vars": args.env},
        },
        # One bundle: a replica's GPUs are on one node or it does not start (Serve's default, PACK, may spread them).
        placement_group_bundles=[bundle],
        placement_group_strategy="STRICT_PACK",
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        max_surge_percent=100 if args.surge else 0,
        graceful_shutdown_wait_loop_s=0.5,
    ).bind(args)


class VLLM:
    """A replica: vLLM's engine in a child process, its OpenAI server in this one."""

    async def __init__(self, args: EngineArgs) -> None:  # type: ignore[misc] # Ray awaits it
        from serve.engines import cache

        cache.offline(args.argv)  # before anything imports huggingface_hub
        from serve.engines import vllm_engine
        from serve.engines.flags import thread_binding
        from serve.engines.watch import watch

        if not args.gpus:
            cpu_ids = sorted(os.sched_getaffinity(0))
            os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", thread_binding(args.workers, cpu_ids))
        self.namespace = vllm_engine.parse(args.argv)
        self.engine, steps = vllm_engine.start(self.namespace, args.stop_token_ids)
        self._watch = asyncio.create_task(watch(self.engine, steps, args.stall_s))

    async def __serve_build_asgi_app__(self) -> Any:
        """Called by Ray Serve once the engine is up: the app that its HTTP server runs."""
        from serve.engines import vllm_engine
        from serve.engines.guard import Guard

        app = await vllm_engine.app(self.engine, self.namespace)
        # vLLM asks its server to exit when the engine dies; here the watch ends the process.
        app.state.server = types.SimpleNamespace()
        return Guard(app, self.engine)

    async def check_health(self) -> None:
        """Ray Serve's own check; the watch is faster. Raises EngineDeadError."""
        await self.engine.check_health()

    async def __del__(self) -> None:
        self._watch.cancel()
        lifespan = getattr(super(), "__del__", None)  # Ray Serve mixes in the ASGI lifespan's end
        if lifespan is not None:
            await lifespan()
        self.engine.shutdown(timeout=10)
