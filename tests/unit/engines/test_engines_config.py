"""One application a model; what restarts an engine is apart from what does not."""

from __future__ import annotations

import pytest

from serve.engines.application import EngineArgs
from serve.engines.config import application, models_of, serve_config
from serve.engines.environment import MAX_CONNECTIONS, NodePorts, connections, drain_s, ray_environment
from serve.engines.flags import Weights
from serve.fleet.loader import laptop, resolve

pytestmark = pytest.mark.unit

TINY = Weights("/models/x", random=True)


def config(**further):
    return serve_config(laptop(), "local", resolve=lambda model: TINY, **further)


def test_each_model_is_an_application_under_its_id() -> None:
    apps = config()["applications"]
    assert [a["name"] for a in apps] == [m.id for m in laptop().models]
    assert [a["route_prefix"] for a in apps] == [f"/{m.id}" for m in laptop().models]
    assert all(a["external_scaler_enabled"] for a in apps)
    assert config()["http_options"]["port"] == 8000


def test_args_are_what_the_builder_takes() -> None:
    for app in config()["applications"]:
        EngineArgs.model_validate(app["args"])


def test_live_settings_do_not_touch_args() -> None:
    model = laptop().models[0]
    changed = model.model_copy(
        update={"engine": model.engine.model_copy(update={"max_ongoing_requests": 7, "max_stream_s": 9.0})}
    )
    before, after = application(model, TINY), application(changed, TINY, replicas=3)
    assert before["args"] == after["args"]
    (deployment,) = after["deployments"]
    assert deployment["max_ongoing_requests"] == 7
    assert deployment["graceful_shutdown_timeout_s"] == drain_s(changed) > 9
    assert deployment["num_replicas"] == 3


def test_live_targets_are_written_back_and_zero_is_never_put() -> None:
    apps = {a["name"]: a for a in config(replicas={"gemma-2-9b-it": 2, "eurollm-9b-instruct": 0})["applications"]}
    assert apps["gemma-2-9b-it"]["deployments"][0]["num_replicas"] == 2
    assert apps["eurollm-9b-instruct"]["deployments"][0]["num_replicas"] == 1


def test_a_gpu_replica_reserves_all_its_gpus() -> None:
    fleet = resolve(
        {"models": [{"use": "llama-3.3-70b-instruct", "engine": {"gpu": "H200-SXM-141GB", "tensor_parallel": 4}}]}, "t"
    )
    args = application(fleet.models[0], TINY)["args"]
    assert (args["gpus"], args["workers"]) == (4, 4)


def test_a_cluster_gets_its_own_models_only() -> None:
    tiny = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 26}
    fleet = resolve(
        {
            "clusters": {"a": {"serve_url": "http://127.0.0.1:8000"}, "b": {"serve_url": "http://127.0.0.1:8100"}},
            "models": [
                {"use": "gemma-2-9b-it", "cluster": "a", "engine": tiny},
                {"use": "eurollm-9b-instruct", "cluster": "b", "engine": tiny},
            ],
        },
        "t",
    )
    assert [m.id for m in models_of(fleet, "b")] == ["eurollm-9b-instruct"]
    assert serve_config(fleet, "b", resolve=lambda m: TINY)["http_options"]["port"] == 8100


def test_drains_outlast_the_longest_stream() -> None:
    models = laptop().models
    env = ray_environment(models)
    longest = max(m.engine.max_stream_s for m in models)
    assert int(env["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"]) > longest
    assert "RAY_SERVE_PORT_QUARANTINE_S" not in env, "it follows from the hard stop, and must exceed it"


def test_ports_reach_the_environment() -> None:
    env = ray_environment((), NodePorts(haproxy_metrics=1, haproxy_stats=2, fallback_proxy=3, replica_low=4))
    assert env["RAY_SERVE_HAPROXY_METRICS_PORT"] == "1"
    assert env["RAY_SERVE_HAPROXY_STATS_PORT"] == "2"
    assert env["RAY_SERVE_FALLBACK_PROXY_HTTP_PORT"] == "3"
    assert env["RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT"] == "4"
    assert all(isinstance(value, str) for value in env.values())


def test_a_dead_engine_s_503_is_replayed() -> None:
    assert "503" in ray_environment(())["RAY_SERVE_HAPROXY_RETRY_ON"].split()


@pytest.mark.parametrize(("limit", "expected"), [(20_000, 6666), (1_048_576, MAX_CONNECTIONS), (100, 64)])
def test_haproxy_is_given_what_its_descriptors_allow(limit: int, expected: int) -> None:
    assert connections(limit) == expected
