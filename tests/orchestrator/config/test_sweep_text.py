"""YAML 1.2 as sweep files are written: what each scalar means, merge keys, and bounds on what a text unfolds to."""

import math
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.sweep_text import MAX_BYTES, MAX_DEPTH, parse, read_mapping
from orchestrator.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # The examples of YAML 1.2.2, §10.3.2, and what YAML 1.1 read as something else.
        ("[null, Null, ~, ]", [None] * 3),
        ("[true, True, FALSE]", [True, True, False]),
        ("[0, 0o7, 0x3A, -19, +3]", [0, 7, 58, -19, 3]),
        ("[0., -0.0, .5, +12e03, -2E+05, 1e-3]", [0.0, -0.0, 0.5, 12000.0, -200000.0, 0.001]),
        ("[.inf, -.Inf, +.INF]", [math.inf, -math.inf, math.inf]),
        ("[yes, no, on, off, y, N]", ["yes", "no", "on", "off", "y", "N"]),
        ("[1:30, 190:20:30.15]", ["1:30", "190:20:30.15"]),
        ("[010, -08, 1_000, 0b1]", ["010", "-08", "1_000", "0b1"]),
        ("[2020-13-45, 2001-12-14]", ["2020-13-45", "2001-12-14"]),
        ("['1', \"true\", !!str 3, ! 4, !!int 5]", ["1", "true", "3", "4", 5]),
        ("{1: a, null: b, yes: c}", {"1": "a", "null": "b", "yes": "c"}),
    ],
)
def test_a_scalar_means_what_the_core_schema_says(text: str, value: Any) -> None:
    assert repr(parse(text)) == repr(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: &a {x: 1, y: 2}, b: {<<: *a, y: 3}}", {"x": 1, "y": 3}),
        ("{a: &a {x: 1, y: 2}, b: {y: 3, <<: *a}}", {"x": 1, "y": 3}),
        ("{a: [&a {x: 1}, &b {x: 2, z: 4}], b: {<<: [*a, *b]}}", {"x": 1, "z": 4}),
        ("{a: &a {x: 1}, c: &c {<<: *a, y: 2}, b: {<<: *c}}", {"x": 1, "y": 2}),
        ("{b: {<<: {x: 1}}}", {"x": 1}),
        ("{b: {'<<': 1}}", {"<<": 1}),
    ],
)
def test_a_merge_key_brings_what_the_mapping_does_not_have(text: str, value: Any) -> None:
    assert parse(text)["b"] == value


def bomb(width: int, levels: int) -> str:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def tower(levels: int) -> str:
    return "\n".join(["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, levels)])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "line 2: the key 'a' is given twice; keep one"),
        ("b: {x: 1, 'x': 2}", "line 1: the key 'x' is given twice"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "line 2: the key '<<' is given twice; merge several mappings as"),
        ("a: {<<: 3}", "line 1: <<: must be a mapping or a list of them; got 3"),
        ("a: {<<: [{x: 1}, y]}", "got 'y'"),
        ("? [a, b]\n: 1", "line 1: a key must be a word"),
        ("a: *nowhere", "there is no anchor &nowhere above *nowhere"),
        ("a: &a [1, *a]", "*a is inside its own anchor"),
        ("a: 1\n---\nb: 2", "a second document begins"),
        ("a: !!python/object/apply:os.system [ls]", "the tag 'tag:yaml.org,2002:python/object/apply:os.system'"),
        ("a: !mine 3", "the tag '!mine' has no meaning here"),
        (bomb(9, 12), "aliases unfold it beyond"),
        (bomb(1000, 3) + "\nb: {" + ", ".join(f"k{n}: {{<<: {{k: *a2}}}}" for n in range(3)) + "}", "aliases unfold"),
        (tower(MAX_DEPTH + 2), "levels"),
        ("a: " + "[" * 900 + "]" * 900, "nested more than"),
        ("a: " + "{b: " * 900 + "1" + "}" * 900, "nested more than"),
        ("\n".join(" " * n + "k:" for n in range(200)), "nested more than"),
        ("a: " + "9" * 5000, "the integer '9999"),
        ("a: -9223372036854775809", "is beyond ±9223372036854775807"),
        ('a: "\\ud800"', ""),
        ('a: "x\\0y"', "has the character '\\x00', which is no text"),
        ('a: "\\e[31m"', "has the character '\\x1b'"),
        ("a: x\x00y", ""),
        ("a: [1, 2", "not valid YAML"),
        ("- a", "must be a mapping of keys"),
        ("", "is empty"),
        ("---\n...\n", "is empty"),
    ],
)
def test_what_can_not_be_a_sweep_file_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_mapping(path)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: ")
    assert said in problem
    assert len(problem) < 400
    assert "\n" not in problem


def test_aliases_within_the_bounds_are_shared() -> None:
    value = parse(bomb(10, 5))
    assert value["a4"][0][0][0][0] == ["x"]


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a: \xff", "a: é".encode("latin-1"), "a: 1".encode("utf-16")])
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError, match="not a YAML text file in UTF-8"):
        read_mapping(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: a\n")
    assert read_mapping(path) == {"name": "a"}


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(UsageError, match=f"is too large for a sweep file, which has at most {MAX_BYTES // 2**20} MiB"):
        read_mapping(Path("/dev/zero"))
