"""The decision log on disk: whole lines, rotation, a disk that fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from serve.errors import LocalError
from serve.fleet.gateway import DecisionLog
from serve.gateway import decision_log
from serve.gateway.decision_log import NAME, DecisionFile
from serve.routing.log import SCHEMA, Entry, parse
from serve.routing.records import Observed, Request

pytestmark = pytest.mark.unit


def entry(number: int) -> Entry:
    return Entry(SCHEMA, float(number), f"req-{number}", Request(characters=7), Observed(), "nn", "nn", "cheapest")


def lines(path: Path) -> list[Entry]:
    return [parse(line) for line in path.read_bytes().splitlines()]


def test_entries_come_back_as_they_went_in(tmp_path: Path) -> None:
    log = DecisionFile(tmp_path / "state", DecisionLog())
    log.add(entry(1))
    log.add(entry(2))
    log.close()
    assert lines(tmp_path / "state" / NAME) == [entry(1), entry(2)]


def test_full_files_are_kept_up_to_the_number_that_was_asked_for(tmp_path: Path) -> None:
    settings = DecisionLog.model_construct(enabled=True, file_bytes=400, files=3, texts=False)
    log = DecisionFile(tmp_path, settings)
    for number in range(20):
        log.add(entry(number))
        log.flush()
    log.close()
    kept = [tmp_path / NAME, tmp_path / f"{NAME}.1", tmp_path / f"{NAME}.2"]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    numbers = [one.at for path in reversed(kept) for one in lines(path)]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 19
    assert all(path.stat().st_size <= 400 for path in kept)


def test_one_file_alone_begins_anew(tmp_path: Path) -> None:
    log = DecisionFile(tmp_path, DecisionLog.model_construct(enabled=True, file_bytes=250, files=1, texts=False))
    for number in range(9):
        log.add(entry(number))
        log.flush()
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert lines(tmp_path / NAME)[-1].at == 8


def test_a_line_that_a_crash_cut_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b'{"v":1,"at":')
    log = DecisionFile(tmp_path, DecisionLog())
    log.add(entry(5))
    log.close()
    assert parse((tmp_path / NAME).read_bytes().splitlines()[-1]) == entry(5)


def test_a_full_disk_costs_entries_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DecisionFile(tmp_path, DecisionLog())
    log.add(entry(1))
    log.flush()
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(decision_log.os, "write", lambda fd, data: real(fd, bytes(data)[:20]))
        log.add(entry(2))
        log.add(entry(3))
        log.flush()
    assert log.dropped == 2
    log.add(entry(4))
    log.close()
    assert [one.at for one in lines(tmp_path / NAME)] == [1.0, 4.0]


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalError, match=r"gateway\.state_dir: .*file"):
        DecisionFile(tmp_path / "file" / "below", DecisionLog())
