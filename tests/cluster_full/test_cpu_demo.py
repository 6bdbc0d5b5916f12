"""The CPU demo, installed from this checkout's images on a real node: it answers, follows its description and its load,
loses nothing when its parts are replaced, and leaves nothing.

The tests are acts of one play, in this order; each begins where the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cluster_full.conftest import DEMO, QUICK, serving
from tests.support.demo import ENGINE_PATIENCE_S, PATIENCE_S, Demo, request

pytestmark = [pytest.mark.cluster_full, pytest.mark.timeout(2 * ENGINE_PATIENCE_S)]

EUROLLM, SUZUME = "eurollm-9b-instruct", "suzume-llama-3-8b-multilingual"
NORWEGIAN = "Jeg lurer på hvorfor det er så mørkt nord i landet om vinteren. Kan du forklare det enkelt for meg?"
PRICE = {"input_usd_per_mtok": 40, "output_usd_per_mtok": 80}
SHORT = 40
# Together longer than the half minute that Ray grants a node by itself.
LONG, MANY = 1900, 32


def over(change: Mapping[str, Any]) -> dict[str, Any]:
    """The values of these tests with a change of models."""
    models = {id: {**QUICK["models"].get(id, {}), **change.get(id, {})} for id in {*QUICK["models"], *change}}
    return {**QUICK, "models": models}


def cost(demo: Demo) -> tuple[float, float]:
    """USD of one answer, and what its tokens come to at PRICE."""
    usage = demo.chat(EUROLLM, NORWEGIAN, temperature=0).json["usage"]
    tokens = usage["prompt_tokens"] * PRICE["input_usd_per_mtok"]
    tokens += usage["completion_tokens"] * PRICE["output_usd_per_mtok"]
    return float(usage["cost"]), tokens / 1e6


def test_every_pod_runs_as_restricted_pod_security_asks(demo: Demo) -> None:
    """The namespace enforces it; beyond that, every root is read-only, and nobody is root."""
    pods = demo.space.get("pods")
    assert {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods} == {
        "gateway",
        "autoscaler",
        "prometheus",
        "engines",
    }
    for pod in pods:
        spec = pod["spec"]
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            security = {**spec["securityContext"], **container["securityContext"]}
            assert security["readOnlyRootFilesystem"] is True, (pod["metadata"]["name"], container["name"])
            assert security["runAsNonRoot"] is True
    for component in ("gateway", "autoscaler", "prometheus"):
        assert set(demo.restarts(component).values()) == {0}


def test_helm_test_makes_a_request_through_the_gateway(demo: Demo) -> None:
    answer = demo.space.try_helm("test", demo.release.name, "--logs", "--timeout", "15m")
    assert answer.status == 0, f"{answer.err}\n{answer.out}\n{demo.logs()}"
    assert "Succeeded" in answer.out


def test_a_norwegian_request_goes_to_the_model_that_is_good_enough_for_it(demo: Demo) -> None:
    answer = demo.chat("auto", NORWEGIAN)
    assert answer.status == 200, answer.body
    assert answer.headers["x-parlance-model"] == EUROLLM
    assert answer.headers["x-parlance-language"] == "nb"
    assert answer.json["choices"][0]["message"]["content"]
    named = demo.chat("suzume", NORWEGIAN)
    assert (named.status, named.headers["x-parlance-model"]) == (200, SUZUME)
    assert demo.chat("auto", NORWEGIAN, max_tokens=4).json["usage"]["completion_tokens"] == 4


def test_who_has_no_key_is_refused(demo: Demo) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": NORWEGIAN}]}
    answer = request(demo.address("gateway"), "POST", "/v1/chat/completions", body)
    assert (answer.status, answer.json["error"]["code"]) == (401, "missing_api_key")


def test_a_price_rolls_the_gateways_under_streams_and_no_engine(demo: Demo) -> None:
    """Streams that are open when a pod is told to go are read to their end; all of them, and every new one."""
    engines, restarts = demo.pods("engines"), demo.restarts("engines")
    gateways = demo.pods("gateway")
    charged, at_new_price = cost(demo)
    assert charged != pytest.approx(at_new_price)
    clients = demo.streams(EUROLLM, SHORT, 3)
    demo.until("streams are read", lambda: len(clients.done) >= 3)
    began = time.monotonic()
    demo.release.upgrade("--values", str(DEMO), values=over({EUROLLM: {"price": PRICE}}))
    demo.until(
        "the gateways have rolled", lambda: demo.ready("gateway") and not gateways.keys() & demo.pods("gateway").keys()
    )
    rolled, before = time.monotonic(), len(clients.done)
    demo.until("streams are read after it", lambda: len(clients.done) >= before + 3)
    clients.end()
    assert clients.problems == []
    assert any(stream.began < began and stream.ended > began for stream in clients.done), "no stream was open then"
    assert any(stream.ended > rolled for stream in clients.done)

    charged, at_new_price = cost(demo)
    assert charged == pytest.approx(at_new_price)
    demo.stays("engines as they were", lambda: demo.pods("engines") == engines, 15)
    assert demo.restarts("engines") == restarts
    assert serving(demo)


def test_rollback_brings_the_old_price_and_no_engine_is_touched(demo: Demo) -> None:
    engines = demo.pods("engines")
    clients = demo.streams(EUROLLM, SHORT, 2)
    gateways = demo.pods("gateway")
    demo.release.rollback(1)
    demo.until(
        "the gateways have rolled", lambda: demo.ready("gateway") and not gateways.keys() & demo.pods("gateway").keys()
    )
    clients.end()
    assert clients.problems == []
    charged, at_new_price = cost(demo)
    assert charged != pytest.approx(at_new_price)
    assert demo.pods("engines") == engines
    demo.until("the autoscalers have rolled", lambda: demo.ready("autoscaler"))


def test_an_evicted_engine_ends_its_streams_and_comes_back(demo: Demo) -> None:
    """As when its node is drained for Kubernetes' own upgrade."""
    (pod,) = demo.workers(EUROLLM)
    clients = demo.streams(EUROLLM, LONG, MANY)
    time.sleep(3)
    demo.evict(pod)
    evicted = time.monotonic()
    clients.end()
    assert [stream.problem for stream in clients.done] == [""] * MANY
    assert all(stream.began < evicted < stream.ended for stream in clients.done), "streams were open then"
    demo.until("its pod has gone", lambda: pod not in demo.space.names("pods"), ENGINE_PATIENCE_S)
    demo.until("another serves", lambda: demo.workers(EUROLLM) and serving(demo), ENGINE_PATIENCE_S)
    demo.until("it answers", lambda: demo.chat(EUROLLM, NORWEGIAN).status == 200, ENGINE_PATIENCE_S)


def test_load_brings_a_replica_and_a_pod(demo: Demo) -> None:
    """Prometheus → plan → Ray Serve → Ray's autoscaler → KubeRay → pod → engine."""
    demo.until("the plan sees the model", lambda: demo.planned(SUZUME).get("blind", "blind") is None)
    first = demo.workers(SUZUME)
    assert len(first) == 1
    clients = demo.streams(SUZUME, SHORT, 32)
    demo.until("two replicas are wanted", lambda: demo.planned(SUZUME).get("wanted") == 2)
    demo.until("KubeRay has made a pod", lambda: len(demo.workers(SUZUME)) == 2)
    demo.until("both run", lambda: demo.planned(SUZUME).get("running") == 2, ENGINE_PATIENCE_S)
    assert first.keys() < demo.workers(SUZUME).keys()
    clients.end()
    assert clients.problems == []
    told = [event["reason"] for event in demo.space.get("events") if event["involvedObject"]["kind"] == "RayService"]
    assert "ScaledUp" in told


def test_a_leader_whose_pod_is_deleted_by_force_is_followed_by_one_that_plans(demo: Demo) -> None:
    """A leader that ends without a word: tests/cluster, where it is a process that can be killed."""
    leader = demo.until("one leads", demo.leader)
    demo.space.kubectl("delete", "pod", leader, "--grace-period=0", "--force")
    other = demo.until("another leads", lambda: (now := demo.leader()) != leader and now)
    assert other in demo.pods("autoscaler")
    demo.until("it plans", lambda: demo.planned(SUZUME).get("target") is not None)
    demo.until("its pod is replaced", lambda: demo.ready("autoscaler"))


def test_without_load_replica_and_pod_go_and_no_stream_is_lost(demo: Demo) -> None:
    clients = demo.streams(SUZUME, SHORT, 1)
    demo.until("one replica is wanted", lambda: demo.planned(SUZUME).get("wanted") == 1, ENGINE_PATIENCE_S)
    demo.until("one runs", lambda: demo.planned(SUZUME).get("running") == 1, ENGINE_PATIENCE_S)
    demo.until("one pod is left", lambda: len(demo.workers(SUZUME)) == 1, ENGINE_PATIENCE_S)
    clients.end()
    assert clients.problems == []
    assert len(clients.done) > 0


def test_uninstall_leaves_nothing(demo: Demo) -> None:
    """But the namespace's own: Ray's pods end with the RayService, and no Lease, history or key stays."""
    demo.release.uninstall("--wait", "--timeout", "10m")
    demo.until("nothing is left", lambda: not demo.space.everything(), PATIENCE_S)
