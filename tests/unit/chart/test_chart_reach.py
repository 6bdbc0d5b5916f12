"""NetworkPolicy's semantics, one rule of the specification a test: the tables of docs/network.md rest on them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reach import End, reaches, selects

pytestmark = pytest.mark.unit

WEB = End("web", "10.0.0.1", "shop", {"app": "web"}, {"team": "front"}, {"http": 8080})
STORE = End("store", "10.0.0.2", "shop", {"app": "store"}, {"team": "front"}, {"sql": 5432})
OTHER = End("other", "10.0.0.3", "lab", {"app": "web"}, {"team": "back"})
OUTSIDE = End("outside", "203.0.113.9")


def policy(namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": namespace}, "spec": {"podSelector": {}, **spec}}


def lets_in(*rules: dict[str, Any]) -> list[dict[str, Any]]:
    return [policy(podSelector={"matchLabels": {"app": "store"}}, policyTypes=["Ingress"], ingress=list(rules))]


def test_without_a_policy_all_is_open() -> None:
    assert reaches([], OUTSIDE, STORE, 5432)


def test_a_policy_without_rules_denies_its_direction_only() -> None:
    denied = [policy(policyTypes=["Ingress"])]
    assert not reaches(denied, OTHER, STORE, 5432)
    assert reaches(denied, STORE, OUTSIDE, 443)


def test_policy_types_left_out_follow_from_the_rules() -> None:
    assert reaches([policy()], STORE, OUTSIDE, 443), "Ingress alone"
    assert not reaches([policy(egress=[])], STORE, OUTSIDE, 443)


def test_it_holds_in_its_own_namespace_only() -> None:
    assert reaches([policy("lab", policyTypes=["Ingress"])], OTHER, STORE, 5432)


def test_rules_of_several_policies_add_up() -> None:
    several = [policy(policyTypes=["Ingress"]), *lets_in({"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]})]
    assert reaches(several, WEB, STORE, 5432)


def test_both_ends_must_allow_it() -> None:
    shut = policy(podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"])
    assert not reaches([*lets_in({}), shut], WEB, STORE, 5432)


def test_a_pod_selector_alone_means_the_policys_namespace() -> None:
    rule = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    assert reaches(lets_in(rule), WEB, STORE, 5432)
    assert not reaches(lets_in(rule), OTHER, STORE, 5432)


def test_both_selectors_in_one_peer_must_hold_and_two_peers_are_alternatives() -> None:
    space, pods = {"matchLabels": {"team": "back"}}, {"matchLabels": {"app": "store"}}
    assert not reaches(lets_in({"from": [{"namespaceSelector": space, "podSelector": pods}]}), OTHER, STORE, 5432)
    assert reaches(lets_in({"from": [{"namespaceSelector": space}, {"podSelector": pods}]}), OTHER, STORE, 5432)


def test_an_empty_namespace_selector_is_every_pod_and_nothing_outside() -> None:
    rule = {"from": [{"namespaceSelector": {}}]}
    assert reaches(lets_in(rule), OTHER, STORE, 5432)
    assert not reaches(lets_in(rule), OUTSIDE, STORE, 5432)


def test_an_empty_list_of_peers_is_everybody() -> None:
    assert reaches(lets_in({"from": []}), OUTSIDE, STORE, 5432)


@pytest.mark.parametrize(
    ("cidr", "without", "passes"),
    [
        ("203.0.113.0/24", [], True),
        ("203.0.113.0/24", ["203.0.113.8/29"], False),
        ("198.51.100.0/24", [], False),
        ("::/0", [], False),
        ("10.0.0.0/8", [], False),
    ],
)
def test_blocks_of_addresses(cidr: str, without: list[str], passes: bool) -> None:
    assert reaches(lets_in({"from": [{"ipBlock": {"cidr": cidr, "except": without}}]}), OUTSIDE, STORE, 1) is passes


@pytest.mark.parametrize(
    ("port", "asked", "protocol", "passes"),
    [
        ({"port": 5432}, 5432, "TCP", True),
        ({"port": 5432}, 5433, "TCP", False),
        ({"port": 5432}, 5432, "UDP", False),
        ({"port": 5000, "endPort": 6000}, 5432, "TCP", True),
        ({"port": 5000, "endPort": 5431}, 5432, "TCP", False),
        ({"port": "sql"}, 5432, "TCP", True),
        ({"port": "http"}, 8080, "TCP", False),
        ({"protocol": "UDP"}, 9, "UDP", True),
    ],
)
def test_ports(port: dict[str, Any], asked: int, protocol: str, passes: bool) -> None:
    assert reaches(lets_in({"ports": [port]}), WEB, STORE, asked, protocol) is passes


def test_a_named_port_of_an_egress_rule_is_the_targets() -> None:
    out = [policy(policyTypes=["Egress"], egress=[{"ports": [{"port": "sql"}]}])]
    assert reaches(out, WEB, STORE, 5432)
    assert not reaches(out, WEB, STORE, 8080)


@pytest.mark.parametrize(
    ("operator", "values", "with_it", "without_it"),
    [
        ("In", ["web"], True, False),
        ("NotIn", ["web"], False, True),
        ("Exists", [], True, False),
        ("DoesNotExist", [], False, True),
    ],
)
def test_expressions(operator: str, values: list[str], with_it: bool, without_it: bool) -> None:
    selector = {"matchExpressions": [{"key": "app", "operator": operator, "values": values}]}
    assert (selects(selector, {"app": "web"}), selects(selector, {})) == (with_it, without_it)


def test_what_the_api_server_refuses_is_no_answer() -> None:
    with pytest.raises(ValueError, match="says nothing"):
        reaches(lets_in({"from": [{}]}), WEB, STORE, 1)
    with pytest.raises(ValueError, match="stands alone"):
        reaches(lets_in({"from": [{"ipBlock": {"cidr": "::/0"}, "podSelector": {}}]}), WEB, STORE, 1)
    with pytest.raises(ValueError, match="operator 'Is'"):
        selects({"matchExpressions": [{"key": "app", "operator": "Is"}]}, {})


LABELS = st.dictionaries(st.sampled_from(["app", "team"]), st.sampled_from(["web", "store"]))
PEERS = st.lists(LABELS.map(lambda labels: {"podSelector": {"matchLabels": labels}}), max_size=2)
POLICIES = st.builds(
    lambda labels, rules: policy(podSelector={"matchLabels": labels}, policyTypes=["Ingress"], ingress=rules),
    LABELS,
    st.lists(PEERS.map(lambda peers: {"from": peers}), max_size=2),
)


@given(st.lists(POLICIES, max_size=3), POLICIES, st.sampled_from([WEB, OTHER, OUTSIDE]))
def test_another_policy_takes_nothing_from_a_pod_that_has_one(
    some: list[dict[str, Any]], more: dict[str, Any], source: End
) -> None:
    deny = policy(policyTypes=["Ingress"])
    if reaches([deny, *some], source, STORE, 1):
        assert reaches([deny, *some, more], source, STORE, 1)
