"""`parlance simulate` as it is typed, over a few minutes of traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoscaling.simulate.many import known, scaling
from serve.cli import main

pytestmark = pytest.mark.unit

EXAMPLES = Path(__file__).parents[3] / "serve" / "fleet" / "examples"
HEAD = "start_s,requests_per_s,arrival_cv,prompt_tokens_mean,output_tokens_mean\n"
POLICIES = ["--policy", "token-work", "static", "--jobs", "1"]


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Ten requests a second, then twenty, then five, for four minutes each."""
    path = tmp_path / "trace.csv"
    path.write_text(HEAD + "0,10,1,300,200\n240,20,1,300,200\n480,5,1,300,200\n")
    return str(path)


def simulated(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["simulate", *words, "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_a_table_is_told(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--trace", trace, *POLICIES]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("8,400 requests in 12 minutes (fluid): cold starts of 180 s ± 15%, seed 1; 2 policies")
    assert lines[1] == "objectives: TTFT 2.5 s, ITL 0.1 s; met: requests within both"
    assert lines[3].split()[:2] == ["policy", "met"]
    assert [line.split()[0] for line in lines[4:]] == ["token-work", "static"]
    assert "the traffic is that of llama-3.3-70b-instruct, the reference model" in captured.err
    assert "1 of 2: token-work" in captured.err


def test_programs_get_the_same_for_the_same_seed(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--trace", trace, *POLICIES, "--failures", "6", "--node-delay", "30", "--cold-start", "60")
    first, second = simulated(capsys, *words), simulated(capsys, *words)
    assert first["conditions"]["cold_start_s"] == 60
    assert first["conditions"]["node_s"] == 30
    assert [one["policy"] for one in first["policies"]] == ["token-work", "static"]
    for told in (first, second):
        del told["took_s"]
        for one in told["policies"]:
            del one["took_s"]
    assert first == second
    other = simulated(capsys, *words, "--seed", "2")
    assert other["policies"][0]["models"] != first["policies"][0]["models"]


def test_a_static_replica_is_paid_by_the_hour(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = simulated(capsys, "--trace", trace, "--policy", "static", "--jobs", "1", "--model", "gemma-2-9b-it")
    [policy] = told["policies"]
    # One replica on one H100 at 3.97 USD, for twelve minutes.
    assert policy["gpu_hours"] == pytest.approx(0.2, rel=0.02)
    assert policy["usd"] == pytest.approx(3.97 * policy["gpu_hours"])
    assert list(policy["models"]) == ["gemma-2-9b-it"]


def test_traffic_is_cut_and_scaled(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = simulated(capsys, "--trace", trace, *POLICIES, "--hours", "0.1", "--scale", "0.5", "--minutes")
    # Four minutes at ten and two at twenty, half of them.
    assert told["traffic"]["llama-3.3-70b-instruct"]["requests"] == pytest.approx((2400 + 2400) / 2)
    assert told["seconds"] == pytest.approx(360)
    minutes = told["policies"][0]["models"]["llama-3.3-70b-instruct"]["minutes"]
    assert [minute["at_s"] for minute in minutes] == [60 * n for n in range(len(minutes))]
    assert sum(minute["requests"] for minute in minutes) == pytest.approx(2400, rel=0.2)


def test_each_model_may_have_its_own(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.csv"
    other.write_text(HEAD + "0,4,1,100,100\n240,4,1,100,100\n")
    words = ("--traffic", f"llama-3.3-70b-instruct={trace}", "--traffic", f"gemma-2-9b-it={other}")
    told = simulated(capsys, *words, *POLICIES)
    assert told["traffic"]["gemma-2-9b-it"] == {"trace": "other.csv", "requests": 1920, "seconds": 480}
    models = told["policies"][0]["models"]
    assert list(models) == ["llama-3.3-70b-instruct", "gemma-2-9b-it"]
    assert told["policies"][0]["gpu_hours"] == pytest.approx(sum(one["gpu_hours"] for one in models.values()))
    assert main(["simulate", *words, *POLICIES]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[4:7]]
    shares = [f"{one['met']:.2%}" for one in models.values()]
    assert rows == [["token-work", "all"], *map(list, zip(models, shares, strict=True))]


def test_who_knows_what_comes_may_plan_for_another_use(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = simulated(capsys, "--trace", trace, "--policy", "clairvoyant@0.9", "clairvoyant@0.1", "--jobs", "1")
    full, empty = told["policies"]
    assert (full["policy"], empty["policy"]) == ("clairvoyant@0.9", "clairvoyant@0.1")
    assert empty["gpu_hours"] > 2 * full["gpu_hours"]


def test_a_picture_is_drawn(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.png"
    words = ["simulate", "--trace", trace, "--policy", "static", "--jobs", "1", "--plot", str(path)]
    assert main(words) == 0
    assert path.read_bytes()[:4] == b"\x89PNG"
    assert f"{path}: static\n" in capsys.readouterr().err


def test_by_default_every_policy_that_scales_is_simulated() -> None:
    assert "static" in known()
    assert "static" not in scaling()
    assert scaling()[-1] == "clairvoyant"
    assert set(known()) == {*scaling(), "static"}


def test_more_than_the_description_allows_is_said(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = ["--fleet", str(EXAMPLES / "8xh100.yaml")]
    assert main(["simulate", "--trace", trace, *POLICIES, *fleet, "--scale", "20", "--hours", "0.1"]) == 0
    said = capsys.readouterr().err
    assert "the busiest window takes about " in said
    assert "engine.replicas.max is 2: no policy meets the objectives then" in said
    assert main(["simulate", "--trace", trace, *POLICIES, *fleet, "--hours", "0.1"]) == 0
    assert "the busiest window" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "token-work", "magic"], "--policy magic: one of "),
        (["--policy", "clairvoyant@1.2"], "--policy clairvoyant@1.2: utilisation 1.2: above 0 and at most 1"),
        (["--policy", "clairvoyant@half"], "--policy clairvoyant@half: utilisation 'half': above 0 and"),
        (["--policy", "static@0.5"], "--policy static@0.5: one of "),
        (["--model", "gpt-5"], "'gpt-5' is no model of fleet elastic; these can be simulated: llama-3.3-70b-instruct"),
        (["--fleet", str(EXAMPLES / "laptop.yaml")], "llama-3.3-70b-instruct cannot be simulated: it runs on CPUs"),
        (["--fleet", str(EXAMPLES / "single-gpu.yaml")], "others run it (https://api.example.com/openai)"),
        (["--traffic", "gemma-2-9b-it=x.csv"], "give --trace FILE, or --traffic MODEL=FILE for each model"),
        (["--minutes"], "--minutes is for --json"),
        (["--jobs", "0"], "--jobs 0: at least 1"),
        (["--plot", "p.doc"], "p.doc: a picture's name ends in one of"),
    ],
)
def test_what_cannot_be_simulated_says_why(
    words: list[str], said: str, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "--trace", trace, *words]) == 1
    assert said in capsys.readouterr().err


def test_models_of_traffic_are_named_once(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    twice = ["--traffic", f"gemma-2-9b-it={trace}", "--traffic", f"google/gemma-2-9b-it={trace}"]
    assert main(["simulate", *twice]) == 1
    assert "--traffic: a model is named twice" in capsys.readouterr().err
    assert main(["simulate", *twice[:2], "--model", "gemma-2-9b-it"]) == 1
    assert "--model says whose traffic --trace is" in capsys.readouterr().err


def test_traces_that_cannot_be_are_told(tmp_path: Path, trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--trace", str(tmp_path / "none.csv")]) == 1
    assert "none.csv: 1 problem\n  (top level): cannot be read" in capsys.readouterr().err
    requests = tmp_path / "requests.csv"
    requests.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,44\n")
    assert main(["simulate", "--trace", str(requests), "--scale", "2"]) == 1
    assert "requests.csv: a trace of single requests has the rate that it has" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--cold-start", "-1"], "'-1': a number from 0 to 86400"),
        (["--scale", "nan"], "'nan': a number from 1e-06 to 1e+06"),
        (["--traffic", "gemma-2-9b-it"], "'gemma-2-9b-it': MODEL=FILE, as gemma-2-9b-it=trace.csv"),
        (["--world", "real"], "invalid choice: 'real'"),
    ],
)
def test_words_that_are_off_are_refused(
    words: list[str], said: str, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", "--trace", trace, *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
