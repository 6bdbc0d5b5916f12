"""What is generated is what Ray and vLLM themselves accept: their own schema and their own flag parser say so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serve.engines.config import serve_config
from serve.engines.environment import ray_environment
from serve.engines.flags import Weights, argv, environment
from serve.engines.tiny import build
from serve.fleet import Model, catalogue
from serve.fleet.loader import laptop, resolve

pytestmark = pytest.mark.integration

PARSE = """
import json, sys
from serve.engines import vllm_engine
parsed = [vllm_engine.parse(words) for words in json.load(sys.stdin)]
print(json.dumps([[n.served_model_name, n.tensor_parallel_size, n.tool_call_parser, n.max_model_len] for n in parsed]))
"""


def test_ray_s_schema_takes_the_configuration_unchanged() -> None:
    from ray.serve.schema import ServeDeploySchema

    config = serve_config(laptop(), "local", resolve=lambda model: Weights("/models/x", random=True))
    parsed = ServeDeploySchema.model_validate(config)
    assert [app.name for app in parsed.applications] == [m.id for m in laptop().models]
    for app, written in zip(parsed.applications, config["applications"], strict=True):
        assert app.args == written["args"]
        (deployment,) = app.deployments
        assert deployment.graceful_shutdown_timeout_s == written["deployments"][0]["graceful_shutdown_timeout_s"]


def test_the_builder_makes_the_application_that_was_described() -> None:
    from serve.engines.application import DEPLOYMENT, EngineArgs, build

    gpu = resolve({"models": [{"use": "gemma-2-9b-it", "engine": {"gpu": "H100-SXM-80GB", "tensor_parallel": 2}}]}, "t")
    (written,) = serve_config(gpu, "local")["applications"]
    deployment = build(EngineArgs.model_validate(written["args"]))._bound_deployment
    assert deployment.name == DEPLOYMENT
    settings = deployment._replica_config
    assert settings.placement_group_bundles == [{"CPU": 1.0, "GPU": 2.0}]
    assert settings.placement_group_strategy == "STRICT_PACK"
    assert settings.ray_actor_options["num_gpus"] == 2


def test_ray_reads_every_variable_of_the_environment() -> None:
    """A name that Ray does not know would be ignored silently: each must stand in its source."""
    import ray.serve._private as private

    source = "".join(path.read_text() for path in Path(private.__file__).parent.glob("*.py"))
    unknown = [
        name for name in ray_environment(laptop().models) if name.startswith("RAY_SERVE_") and name not in source
    ]
    assert unknown == []


def catalogue_models() -> list[Model]:
    tiny = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 28, "tensor_parallel": 2}
    return list(resolve({"models": [{"use": name, "engine": tiny} for name in catalogue.names()]}, "t").models)


def test_vllm_parses_its_flags(tmp_path: Path) -> None:
    models = {model.id: Weights(str(build(model, tmp_path)), random=True) for model in catalogue_models()}
    words = [argv(model, models[model.id]) for model in catalogue_models()]
    done = subprocess.run(  # one process: importing vLLM takes longer than all the rest
        [sys.executable, "-c", PARSE],
        env={**os.environ, **environment(catalogue_models()[0], next(iter(models.values())))},
        input=json.dumps(words),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [
        [[model.id], 2, model.card.tool_parser, model.card.context_tokens] for model in catalogue_models()
    ]


@pytest.mark.parametrize("model", catalogue_models(), ids=lambda model: model.id)
def test_transformers_loads_what_is_built(model: Model, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    path = build(model, tmp_path)
    assert AutoConfig.from_pretrained(path).architectures == [model.card.architecture.class_name]
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert tokenizer.decode(tokenizer("Kva er ein fjord?").input_ids, skip_special_tokens=True) == "Kva er ein fjord?"
    if model.card.chats:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Hei"}], tokenize=False, add_generation_prompt=True
        )
        assert "Hei" in text
    else:
        assert tokenizer.chat_template is None
