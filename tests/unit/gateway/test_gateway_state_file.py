"""What was learnt, on disk: it comes back whole, and anything else is no reason to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from serve.gateway.state_file import NAME, SCHEMA, Learnt, load, save
from serve.routing.calibration import Sums
from serve.routing.lengths import BUCKETS, Histogram
from serve.routing.metered import Slot

pytestmark = pytest.mark.unit

LEARNT = Learnt(
    [("m", "nb", "acme", Sums(100.0, 120.0, 5.0))],
    [(("m", "nb", "chat", "acme"), Histogram([1.0] * BUCKETS, 5.0))],
    {"m": [Slot(1.0, 2.0, 3.0, 1.0)]},
)


def test_it_comes_back_whole_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "state" / NAME
    save(path, LEARNT)
    save(path, LEARNT)
    assert load(path) == LEARNT
    assert [one.name for one in path.parent.iterdir()] == [NAME]
    assert path.stat().st_mode & 0o007 == 0


def test_a_missing_file_is_a_first_start(tmp_path: Path) -> None:
    assert load(tmp_path / NAME) is None


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"ratios": 3}', b"\xff", b"{" * 10_000])
def test_a_damaged_file_is_passed_over(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / NAME
    path.write_bytes(data)
    assert load(path) is None
    assert "learning begins anew" in caplog.text


def test_another_schema_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / NAME
    save(path, Learnt(v=SCHEMA + 1))
    assert load(path) is None
    assert "schema" in caplog.text


def test_a_directory_that_cannot_be_written_to_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        save(tmp_path / "file" / NAME, LEARNT)
