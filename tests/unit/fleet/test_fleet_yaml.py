"""What a fleet file may hold as YAML, and that nothing in one makes the loader slow, blind or fall over."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.errors import DescriptionError
from serve.fleet import yaml

pytestmark = pytest.mark.unit


def said(text: str) -> str:
    with pytest.raises(DescriptionError) as caught:
        yaml.parse(text, "fleet.yaml")
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[no, yes, on, off, y, n]", ["no", "yes", "on", "off", "y", "n"]),
        ("[true, false]", [True, False]),
        ("[True, TRUE]", ["True", "TRUE"]),
        ("[~, null, ]", [None, None]),
        ("a:", {"a": None}),
        ("[010, 0o10, 0x1F, -7, +7]", [10, 8, 31, -7, 7]),
        ("[1e5, .5, 1., -2.5E-3]", [1e5, 0.5, 1.0, -0.0025]),
        ("[1:30, 131_072, 2026-01-31]", ["1:30", "131_072", "2026-01-31"]),
        ("'<<': 1", {"<<": 1}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("=: x", {"=": "x"}),
        ("", None),
        ("# nothing\n", None),
        ("- a\n- b\n", ["a", "b"]),
    ],
)
def test_words_are_yaml_1_2s(text: str, value: object) -> None:
    assert yaml.parse(text, "x") == value


def test_infinity_and_nan_are_floats_for_fields_to_refuse() -> None:
    up, down, nan = yaml.parse("[.inf, -.inf, .nan]", "x")
    assert (up, down) == (float("inf"), float("-inf"))
    assert math.isnan(nan)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1", "key 'a' stands here twice"),
        ("a: {b: 1, b: 2}", "line 1, column 11", "twice"),
        ("1: x\n1: y\n", "line 2", "twice"),
        ("a: &x [1]\n", "line 1", "anchors (&x)"),
        ("a: *x\n", "line 1", "aliases"),
        ("a: !!python/object/apply:os.system [ls]\n", "line 1", "tags"),
        ("a: !!bool maybe\n", "line 1", "tags"),
        ("a: !!timestamp x\n", "line 1", "tags"),
        ("a:\n\t- 1\n", "line 2", "'\\t'"),
        ("? [a]\n: 1\n", "line 1", "a key must be a word"),
        ("? {a: 1}\n: 1\n", "line 1", "a key must be a word"),
        ("a: [1\n", "line 2", "expected"),
        ("a: 1\n---\nb: 2\n", "line 2", "another document"),
        (f"a: {'9' * 5000}\n", "line 1, column 4", "5000 digits"),
        ("a: \x01\n", "", "special characters"),
    ],
)
def test_problems_have_a_line(text: str, where: str, what: str) -> None:
    message = said(text)
    assert where in message
    assert what in message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_one_problem(opening: str) -> None:
    assert "nested more than 64 deep" in said(opening * 200_000)


def test_an_expanding_file_is_refused_at_its_first_anchor() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "anchors (&a0)" in said("\n".join(lines))


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert yaml.read(path) == {"name": "x"}


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a: 1\nb: \xff\n", "line 2: byte 0xff: the file must be UTF-8"),
        (b"a: " + b"x" * yaml.MAX_BYTES, "longer than"),
    ],
)
def test_unreadable_content_is_said(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(content)
    with pytest.raises(DescriptionError) as caught:
        yaml.read(path)
    assert what in caught.value.message


def test_absent_files_and_folders_are_said(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match="no such file"):
        yaml.read(tmp_path / "none.yaml")
    with pytest.raises(DescriptionError, match="cannot be read"):
        yaml.read(tmp_path)


@given(st.text(max_size=200) | st.text(alphabet="[]{}&*!|>-?:,#'\"%@` \n\tabn01.", max_size=60))
def test_any_text_is_a_value_or_a_description_error(text: str) -> None:
    with contextlib.suppress(DescriptionError):
        yaml.parse(text, "x")
