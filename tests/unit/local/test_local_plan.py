"""`--models` and `--model` make another fleet of the same file; the gateway reads the same one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from serve.commands.up import _substitute, summary
from serve.errors import LocalError
from serve.fleet import load
from serve.fleet.loader import LAPTOP
from serve.local.plan import plan

pytestmark = pytest.mark.unit


def test_all_models_need_no_file_of_their_own(tmp_path: Path) -> None:
    whole = plan(LAPTOP, (), {}, tmp_path)
    assert whole.file == LAPTOP
    assert len(whole.engines) == 5
    assert not list(tmp_path.iterdir())


def test_a_choice_by_alias_is_a_smaller_fleet_that_loads(tmp_path: Path) -> None:
    some = plan(LAPTOP, ("llama", "gemma-2-9b-it"), {}, tmp_path)
    assert [m.id for m in some.engines] == ["llama-3.3-70b-instruct", "gemma-2-9b-it"]
    assert load(some.file) == some.fleet
    assert "eurollm" not in some.fleet.aliases
    assert some.digest != plan(LAPTOP, (), {}, tmp_path).digest


def test_without_the_reference_the_rest_still_loads(tmp_path: Path) -> None:
    assert plan(LAPTOP, ("gemma",), {}, tmp_path).fleet.reference == "gemma-2-9b-it"


def test_keys_are_still_found_from_the_narrowed_file(tmp_path: Path) -> None:
    raw = yaml.safe_load(LAPTOP.read_text(encoding="utf-8"))
    raw["gateway"]["keys_file"] = "keys.yaml"
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "fleet.yaml").write_text(yaml.safe_dump(raw))
    (folder / "keys.yaml").write_text("keys: []\n")
    some = plan(folder / "fleet.yaml", ("gemma",), {}, tmp_path / "state")
    assert some.fleet.gateway.keys_file == str(folder / "keys.yaml")


def test_an_unknown_name_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"'gema' is no model of this fleet; it has llama-3\.3-70b-instruct, "):
        plan(LAPTOP, ("gema",), {}, tmp_path)


def test_substituted_weights_change_the_digest(tmp_path: Path) -> None:
    swapped = plan(LAPTOP, (), {"gemma": "org/small"}, tmp_path)
    assert swapped.substitutes == {"gemma-2-9b-it": "org/small"}
    assert swapped.digest != plan(LAPTOP, (), {}, tmp_path).digest
    with pytest.raises(LocalError, match="--model eurollm-9b-instruct: that model is not started"):
        plan(LAPTOP, ("gemma",), {"eurollm": "org/small"}, tmp_path)


def test_words_of_a_substitution() -> None:
    assert _substitute("gemma=org/small=x") == ("gemma", "org/small=x")
    with pytest.raises(LocalError, match="NAME=HUB_ID"):
        _substitute("gemma")
    assert callable(summary)
