"""The only module that imports vLLM: parses its flags, starts its engine, builds its OpenAI server. vLLM 0.32-0.33."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import Any

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.metrics.loggers import PrometheusStatLogger, StatLoggerBase
from vllm.v1.metrics.ray_wrappers import RayPrometheusStatLogger


class Steps(StatLoggerBase):  # type: ignore[misc]
    """Counts the engine's steps, which vLLM reports to its stat loggers."""

    made = 0

    def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
        """Takes what vLLM passes; nothing of it is needed."""

    def log_engine_initialized(self) -> None:
        """Nothing to log."""

    def record(self, *args: Any, **kwargs: Any) -> None:
        """One step, with or without output."""
        Steps.made += 1


def parse(argv: Sequence[str]) -> Namespace:
    """vLLM's own reading of its flags."""
    namespace: Namespace = make_arg_parser(FlexibleArgumentParser()).parse_args(list(argv))
    validate_parsed_serve_args(namespace)
    return namespace


def start(namespace: Namespace, stop_token_ids: Sequence[int]) -> tuple[AsyncLLM, Callable[[], int]]:
    """A running engine, and a function that tells how many steps it has made. Blocks while the weights load."""
    engine = AsyncLLM.from_engine_args(
        AsyncEngineArgs.from_cli_args(namespace),
        usage_context=UsageContext.OPENAI_API_SERVER,
        # With a Ray logger alone vLLM drops its own: `ray_vllm_*` on the node's port and `vllm:*` on /metrics need
        # both, Ray's first.
        stat_loggers=[Steps, RayPrometheusStatLogger, PrometheusStatLogger],
    )
    if stop_token_ids:
        add_stops(engine.input_processor.generation_config_fields, stop_token_ids)
    return engine, lambda: Steps.made


def add_stops(generation_config: dict[str, Any], stop_token_ids: Sequence[int]) -> None:
    """Adds to the ids that end every answer.

    vLLM reads them from generation_config.json only; some models' file, or an older revision of it, lacks the end of
    a turn (Suzume: 128009).
    """
    own = generation_config.get("eos_token_id") or []
    own = [own] if isinstance(own, int) else list(own)
    generation_config["eos_token_id"] = sorted({*own, *stop_token_ids})


async def app(engine: AsyncLLM, namespace: Namespace) -> Any:
    """vLLM's OpenAI server (a FastAPI app) on that engine."""
    tasks = await engine.get_supported_tasks()
    server = build_app(namespace, tasks, engine.model_config)
    await init_app_state(engine, server.state, namespace, tasks)
    return server
