"""`parlance dashboards`: the list, the page, and pictures of what a Prometheus has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from observability import dashboards
from observability.dashboards import picture, samples
from observability.dashboards.reference import markdown
from serve.cli import main
from serve.errors import LocalError

pytestmark = pytest.mark.unit


def test_the_list_names_every_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [one.name for one in dashboards.dashboards()]


def test_the_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "reference"]) == 0
    assert capsys.readouterr().out == markdown()


class Prometheus:
    """What answers instead of the network: one series to everything."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, address: str, words: dict[str, str] | None) -> Any:
        self.asked.append(address)
        if address.endswith("targets?state=active"):
            return {"activeTargets": [{"scrapeInterval": "5s"}, {"scrapeInterval": "1m"}]}
        return {"result": []}


def test_a_picture_is_of_the_minutes_that_were_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(samples, "_data", Prometheus())
    monkeypatch.setattr(picture, "draw", lambda *words: drawn.append(words))
    out = tmp_path / "x.png"
    words = ["--prometheus", "http://127.0.0.1:9090", "--out", str(out), "--minutes", "30", "--theme", "light"]
    assert main(["dashboards", "picture", "languages", *words]) == 0
    ((dashboard, _ask, path, shown, theme),) = drawn
    assert (dashboard.name, path, theme) == ("languages", out, "light")
    assert shown.minutes == pytest.approx(30)
    assert shown.window == "240s"  # four of the slowest target's scrapes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["picture", "x", "--prometheus", "http://127.0.0.1:9", "--out", "x.png"], "no dashboard 'x': overview"),
        (["picture", "ray", "--prometheus", "127.0.0.1:9", "--out", "x.png"], "no address of a Prometheus"),
    ],
)
def test_what_cannot_be_drawn_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", *words]) == 1
    assert said in capsys.readouterr().err


def test_too_few_minutes_are_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(samples, "_data", Prometheus())
    words = ["picture", "ray", "--prometheus", "http://127.0.0.1:9090", "--out", "x.png", "--minutes", "0"]
    assert main(["dashboards", *words]) == 1
    assert "--minutes: 0 minutes are too few" in capsys.readouterr().err


def test_the_address_is_prometheus_own(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Prometheus()
    monkeypatch.setattr(samples, "_data", answers)
    assert samples.prometheus("http://127.0.0.1:9090/")("up", 0, 1, 1) == []
    assert answers.asked == ["http://127.0.0.1:9090/api/v1/query_range"]


class Response:
    def __init__(self, body: bytes) -> None:
        self.body = body

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was opened."""

    def read(self) -> bytes:
        return self.body


@pytest.mark.parametrize("body", [b"<html>", b"[]", json.dumps({"status": "error"}).encode()])
def test_an_answer_that_is_none_of_prometheus_is_said(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples.urllib.request, "urlopen", lambda *_, **__: Response(body))
    with pytest.raises(LocalError, match="does not answer as a Prometheus"):
        samples.scrape_interval("http://127.0.0.1:9090")
