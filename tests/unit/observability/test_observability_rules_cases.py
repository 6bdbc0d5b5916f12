"""Every alert is shown to fire and not to fire: what promtool plays leaves none out."""

from __future__ import annotations

import pytest

from observability import metrics
from observability.rules import DEFAULT_FLEET
from observability.rules.render import alerts
from observability.rules.rule import Alert
from serve.fleet import load
from tests.support.alerts import CASES, Fires, Quiet
from tests.support.alerts.case import given, promtool_test, rule_of, seconds

pytestmark = pytest.mark.unit

ALERTS = [alert for group in alerts(load(DEFAULT_FLEET)).values() for alert in group]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda a: "-".join((a.name, a.severity, *a.labels.values())))
def test_an_alert_has_cases_in_which_it_fires_and_in_which_it_does_not(alert: Alert) -> None:
    own = [case for case in CASES if case.alert == alert.name]
    watched = [case.fires[0].labels for case in own if isinstance(case, Fires)]
    assert any(rule_of(alert.name, labels, ALERTS) is alert for labels in watched), "no case in which it fires"
    # Which moments are checked while it waits follows from `for`: see promtool_test.
    assert any(isinstance(case, Quiet) for case in own), "no case in which it stays quiet"


def test_a_case_is_of_an_alert_that_there_is() -> None:
    assert {case.alert for case in CASES} == {alert.name for alert in ALERTS}


def test_a_case_that_fires_is_watched_before_while_it_waits_and_when_it_fires() -> None:
    (case,) = (case for case in CASES if case.alert == "ParlanceLedgerLagging" and isinstance(case, Fires))
    (rule,) = (alert for alert in ALERTS if alert.name == case.alert)
    texts = {"summary": "{{ $value }}", "description": "of {{ $labels.instance }}"}
    test = promtool_test(case, ALERTS, {id(rule): texts})
    states = [(check["eval_time"], check["expr"], bool(check["exp_samples"])) for check in test["promql_expr_test"]]
    own = 'alertname="ParlanceLedgerLagging", severity="ticket", instance="a:1"'
    assert states == [
        ("540s", f"count(ALERTS{{{own}}})", False),
        ("600s", f'count(ALERTS{{{own}, alertstate="pending"}})', True),
        ("840s", f'count(ALERTS{{{own}, alertstate="pending"}})', True),
        ("840s", f'count(ALERTS{{{own}, alertstate="firing"}})', False),
    ]
    (fired,) = test["alert_rule_test"]
    assert fired["eval_time"] == "900s"
    assert fired["exp_alerts"][0]["exp_annotations"] == {
        "summary": "The ledger of a:1 lags by 1m 1s",
        "description": "of a:1",
    }


def test_a_series_has_the_labels_of_the_catalogue() -> None:
    with pytest.raises(ValueError, match="not \\['modle'\\]"):
        given(metrics.HEALTHY, "1", modle="m")
    with pytest.raises(ValueError, match="has \\['model'\\]"):
        given(metrics.HEALTHY, "1")


def test_durations() -> None:
    assert seconds("1h30m") == 5400
    with pytest.raises(ValueError, match="no duration"):
        seconds("soon")
