"""`parlance plan` as it is typed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from serve.chart.render import CHART
from serve.cli import main

pytestmark = pytest.mark.unit

EXAMPLES = Path(__file__).parents[3] / "serve" / "fleet" / "examples"


def test_the_fleet_s_table_is_told_and_then_a_replica_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--fleet", str(EXAMPLES / "8xh100.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "512 prompt tokens and 256 output tokens; TTFT 2.5 s, ITL 0.1 s"
    assert re.split(r"\s{2,}", lines[1])[:3] == ["model", "GPU", "TP"]
    # 170,720 tokens are 1.3 contexts of 131,072; one or two replicas on two GPUs each, at 3.97 USD a GPU.
    sized = re.split(r"\s{2,}", lines[2])
    assert sized[:7] == ["llama-3.3-70b-instruct", "H100-SXM-80GB", "2", "fp8", "131,072", "1 to 2", "2"]
    assert sized[7:] == ["170,720", "1.3", "12.58", "12.6 to 25.2", "kv", "7.94 to 15.88"]
    assert re.split(r"\s{2,}", lines[3])[-1] == "3.97"  # one replica at least and at most
    large = lines[9].split()
    assert large[:5] == ["llama-3.3-70b-instruct", "2x", "H100-SXM-80GB", "fp8", "131,072"]
    assert "7.94" in large  # two GPUs at 3.97 USD
    # 170,720 tokens of KV cache are 238 requests of 512 and 0.8 x 256, and the default lets 256 in; EuroLLM's are 389.
    assert not any(line.startswith("llama-3.3-70b-instruct: ") for line in lines)
    assert (
        "eurollm-9b-instruct: these figures take 389 requests at once, and engine.max_ongoing_requests lets 256 into a "
        "replica: raise it"
    ) in lines
    assert "fleet 8xh100: 6 to 8 GPUs, 23.82 to 31.76 USD an hour" in lines


def test_a_page_gets_the_fleet_s_table(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--fleet", str(EXAMPLES / "8xh100.yaml"), "--markdown"]
    assert main([*words, "--mix", "512:256", "--mix", "8000:200"]) == 0
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("| ")]
    assert len({row.count("|") for row in rows}) == 1
    assert rows[0].startswith("| model | GPU | TP | weights | context | replicas | GPUs on one node | KV tokens |")
    assert rows[2].startswith(
        "| llama-3.3-70b-instruct | H100-SXM-80GB | 2 | fp8 | 131,072 | 1 to 2 | 2 | 170,720 | 1.3 |"
    )
    assert "8,000 prompt tokens and 200 output tokens; TTFT 2.5 s, ITL 0.1 s:" in out
    assert "\n* not computed: eurollm-9b-instruct: 8,000 prompt" in out
    assert "\nfleet 8xh100: 6 to 8 GPUs, 23.82 to 31.76 USD an hour.\n" in out
    assert main(["plan", "--all", "--markdown"]) == 0
    assert "| model | GPUs | weights | context | KV tokens | requests |" in capsys.readouterr().out


def test_a_table_goes_between_its_marks_and_nowhere_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    other = "<!-- sizing other -->\nstays\n<!-- sizing ends -->\n"
    page.write_text(f"before\n{other}<!-- sizing 8xh100 -->\nold\n<!-- sizing ends -->\nafter\n", encoding="utf-8")
    words = ["plan", "--fleet", str(EXAMPLES / "8xh100.yaml")]
    assert main([*words, "--into", str(page)]) == 0
    once = page.read_text(encoding="utf-8")
    assert main([*words, "--into", str(page)]) == 0
    assert page.read_text(encoding="utf-8") == once
    assert main([*words, "--markdown"]) == 0
    table = capsys.readouterr().out.strip()
    assert once == f"before\n{other}<!-- sizing 8xh100 -->\n{table}\n<!-- sizing ends -->\nafter\n"
    page.write_text("<!-- sizing 8xh100 -->\n", encoding="utf-8")
    assert main([*words, "--into", str(page)]) == 1
    assert "no `<!-- sizing 8xh100 -->` with `<!-- sizing ends -->` after it" in capsys.readouterr().err


def test_the_install_page_s_tables_are_what_is_computed(tmp_path: Path) -> None:
    page = EXAMPLES.parents[2] / "docs" / "install.md"
    copy = tmp_path / "install.md"
    copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    for values in ("values.yaml", "values-8xH100.yaml"):
        assert main(["plan", "--values", str(CHART / values), "--into", str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8"), "run `make docs`"


def test_values_of_the_chart_are_sized_as_they_would_be_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("models: {normistral-11b-thinking: {enabled: false}}\n", encoding="utf-8")
    second.write_text("models: {gemma-2-9b-it: {engine: {replicas: {max: 6}}}}\n", encoding="utf-8")
    words = ["plan", "--values", str(first), "--values", str(second), "--json"]
    assert main([*words, "--fleet", str(EXAMPLES / "8xh100.yaml")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fleet"]["gpus"] == {"min": 5, "max": 12}
    gemma = next(one for one in told["sizes"] if one["model"] == "gemma-2-9b-it")
    assert gemma["replicas"] == {"min": 1, "max": 6}
    assert gemma["fleet_requests_per_s"]["max"] == pytest.approx(6 * gemma["requests_per_s"])
    assert gemma["fleet_usd_per_hour"] == {"min": pytest.approx(3.97), "max": pytest.approx(6 * 3.97)}
    assert gemma["kv_contexts"] == pytest.approx(gemma["kv_room_tokens"] / 8192)
    assert gemma["gpus_on_one_node"] == 1
    second.write_text("models: {gemma: {}}\n", encoding="utf-8")
    assert main(words) == 1
    assert "models.gemma: one of the fleet's models: " in capsys.readouterr().err


def test_the_page_s_table_is_what_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    page = (EXAMPLES.parents[2] / "docs" / "fleet.md").read_text(encoding="utf-8")
    begin = page.index("| model | GPUs | KV tokens | requests | requests/s |")
    rows = [line.strip("|").split("|") for line in page[begin:].split("\n\n")[0].splitlines()[2:]]
    assert main(["plan", "--fleet", str(EXAMPLES / "8xh100.yaml"), "--json"]) == 0
    sizes = {one["model"]: one for one in json.loads(capsys.readouterr().out)["sizes"]}
    assert len(rows) == 3
    for row in rows:
        model, gpus, *figures = (cell.strip() for cell in row)
        one = sizes[model]
        assert gpus == f"{one['tensor_parallel']}x H100, {one['weights']}"
        assert figures == [
            f"{one['kv_room_tokens']:,}",
            f"{one['kv_requests']:,.0f}",
            f"{one['requests_per_s']:.2f}",
            f"{one['output_tokens_per_s']:,.0f}",
            one["bound"],
            f"{one['usd_per_hour']:.2f}",
            f"{one['usd_per_mtok']:.3f}",
        ]


def test_programs_get_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--fleet", str(EXAMPLES / "8xh100.yaml"), "--prompt", "1000", "--output", "100", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["slo"] == {"ttft_s": 2.5, "itl_s": 0.1, "attainment": 0.99}
    assert told["fleet"]["gpus"] == {"min": 6, "max": 8}
    assert len(told["sizes"]) == 5
    for one in told["sizes"]:
        assert one["mix"] == {"prompt": 1000, "output": 100, "cached": 0}
        assert one["output_tokens_per_s"] == pytest.approx(100 * one["requests_per_s"])
        tokens_an_hour = one["requests_per_s"] * 1100 * 3600
        assert one["usd_per_mtok"] == pytest.approx(one["usd_per_hour"] / tokens_an_hour * 1e6)
        assert one["usd_per_output_mtok"] == pytest.approx(11 * one["usd_per_mtok"])


def test_several_mixes_are_a_table_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--mix", "512:256", "--mix", "3000:200:2000", "--json"]) == 0
    sizes = json.loads(capsys.readouterr().out)["sizes"]
    assert [one["mix"]["cached"] for one in sizes] == [0] * 5 + [2000] * 5
    assert main(["plan", "--mix", "512:256", "--mix", "3000:200:2000"]) == 0
    out = capsys.readouterr().out
    assert "\n3,000 prompt tokens, 2,000 of them cached and 200 output tokens; TTFT 2.5 s" in out


def test_the_catalogue_says_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--all"]) == 0
    out = capsys.readouterr().out
    assert "not computed: llama-3.3-70b-instruct on A10G-24GB: Llama 3.3 70B Instruct has 131.4 GiB of weights" in out
    assert "tensor parallel over PCIe does less than this (" in out
    assert "fleet " not in out


def test_a_laptop_says_why_it_has_no_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--fleet", str(EXAMPLES / "laptop.yaml")]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 5
    assert all(line.startswith("not computed: ") and "it runs on CPUs" in line for line in lines)


def test_options_that_contradict_each_other_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--mix", "512:256", "--prompt", "100"]) == 1
    assert "--mix stands instead of --prompt and --output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prompt", "0"], "'0': a number of tokens, 1 to 10,000,000"),
        (["--output", "nan"], "'nan': a number of tokens"),
        (["--mix", "512"], "prompt and output tokens with a colon between them"),
        (["--mix", "512:256:600"], "at most the prompt's 512 tokens can be cached"),
    ],
)
def test_what_is_no_number_of_tokens_is_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *words])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
