"""YAML with places, and putting one tree on another."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from engine.spec.source import Place, Tree, edit_yaml, overlay, read_yaml


def test_places_of_keys_values_and_items(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\nb:\n  c: [x, y]\n  d: {e: 2}\n")
    tree = read_yaml(file)
    assert tree.data == {"a": 1, "b": {"c": ["x", "y"], "d": {"e": 2}}}
    assert tree.place(("b", "c", 1)) == Place(file, 3, 10)
    assert tree.place(("b", "d", "e")) == Place(file, 4, 10)
    assert tree.place(("b", "d", "e"), key=True) == Place(file, 4, 7)
    assert tree.place(("b", "missing")) == Place(file, 3, 3)  # the mapping around it


def test_numbers_are_yaml_1_2(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1e-3\nb: yes\nc: 010\nd: true\ne:\n")
    assert read_yaml(file).data == {"a": 0.001, "b": "yes", "c": 10, "d": True, "e": None}


@pytest.mark.parametrize(
    ("text", "place"), [("a: [1, 2\nb: 3\n", ":2:"), ("a: 1\na: 2\n", ":2:1"), ("a: 'x\n", ":2:1"), ("\ta: 1\n", ":1:1")]
)
def test_bad_syntax_is_shown_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match="not valid YAML") as error:
        read_yaml(file)
    assert f"a.yaml{place}" in str(error.value)


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="UTF-8"):
        read_yaml(tmp_path / "b.yaml")


def test_overlay_merges_and_takes_places_along(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("m: {a: 1, b: {c: 2, d: 3}}\nl: [1, 2]\n")
    (tmp_path / "over.yaml").write_text("m:\n  b: {c: 5}\nl: [9]\n")
    tree = overlay(read_yaml(tmp_path / "base.yaml"), read_yaml(tmp_path / "over.yaml"))
    assert tree.data == {"m": {"a": 1, "b": {"c": 5, "d": 3}}, "l": [9]}
    assert tree.place(("m", "b", "c")) == Place(tmp_path / "over.yaml", 2, 10)
    assert tree.place(("m", "b", "d")) == Place(tmp_path / "base.yaml", 1, 24)


def test_another_kind_replaces_a_mapping_whole() -> None:
    base = Tree({"data": {"kind": "folder", "name": "x"}})
    assert overlay(base, Tree({"data": {"kind": "ucf101", "split": 1}})).data == {"data": {"kind": "ucf101", "split": 1}}
    base = Tree({"data": {"kind": "folder", "name": "x"}})
    assert overlay(base, Tree({"data": {"name": "y"}})).data == {"data": {"kind": "folder", "name": "y"}}


trees = st.recursive(st.integers() | st.text(max_size=3), lambda t: st.dictionaries(st.sampled_from("abcd"), t, max_size=3), max_leaves=8)
mappings = st.dictionaries(st.sampled_from("abcd"), trees, max_size=4)


@given(mappings, mappings)
def test_overlay_is_the_naive_deep_merge(base: dict, over: dict) -> None:
    import copy

    def merge(a, b):
        if isinstance(a, dict) and isinstance(b, dict):
            return {**a, **{k: merge(a[k], b[k]) if k in a else b[k] for k in b}}
        return b

    expected = merge(base, over)
    assert overlay(Tree(copy.deepcopy(base)), Tree(copy.deepcopy(over))).data == expected


def test_edit_keeps_comments(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("# selected\nspecs: [a]\na:\n  x: 1  # of a\n")
    edit_yaml(file, {("a", "x"): 2, ("b", "y"): 3})
    assert file.read_text() == "# selected\nspecs: [a]\na:\n  x: 2  # of a\nb:\n  y: 3\n"
