"""Names of ours and of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from wherelook.errors import InputError, WherelookError
from wherelook.registry import Registry, called, check_call, first_line


def registry(monkeypatch, *points: tuple[str, str]) -> Registry[str]:
    """Of texts; entry points are (name, value)."""
    found = [EntryPoint(name, value, "wherelook.tests") for name, value in points]
    monkeypatch.setattr("wherelook.registry.entry_points", lambda group: found if group == "wherelook.tests" else [])

    def take(name: str, value: object) -> str:
        if not isinstance(value, str):
            raise InputError(f"{name} is no text")
        return value

    return Registry("text", "wherelook.tests", {"ours": "here"}, take)


def test_ours_come_first_and_others_are_imported_when_they_are_asked_for(monkeypatch):
    texts = registry(monkeypatch, ("digits", "string:digits"), ("gone", "no_such_module:x"))
    assert list(texts) == ["ours", "digits", "gone"]
    assert len(texts) == 3
    assert (texts["ours"], texts.find("digits")) == ("here", "0123456789")
    assert texts.name_of("here") == "ours"
    assert texts.name_of("elsewhere") is None
    with pytest.raises(WherelookError, match="the text 'gone' of an unknown package cannot be imported from no_such"):
        texts["gone"]
    said: list[str] = []
    assert texts.usable(said.append) == {"ours": "here", "digits": "0123456789"}
    assert len(said) == 1


def test_an_unknown_name_lists_all_names(monkeypatch):
    texts = registry(monkeypatch, ("digits", "string:digits"))
    with pytest.raises(InputError, match="unknown text 'letters'; valid: ours, digits"):
        texts.find("letters")
    assert texts.get("letters") is None
    assert "letters" not in texts


def test_what_is_nothing_of_the_kind_is_refused(monkeypatch):
    with pytest.raises(InputError, match="capwords is no text"):
        registry(monkeypatch, ("capwords", "string:capwords"))["capwords"]


def test_our_names_cannot_be_taken_and_a_name_that_two_packages_take_is_nobodys(monkeypatch):
    texts = registry(monkeypatch, ("ours", "string:digits"), ("same", "string:digits"), ("same", "string:hexdigits"))
    assert texts["ours"] == "here"
    with pytest.raises(WherelookError, match="several packages have a text 'same': an unknown package, an unknown"):
        texts["same"]
    said: list[str] = []
    assert texts.usable(said.append) == {"ours": "here"}
    assert said[1] == "the text 'ours' of an unknown package is left out: wherelook has one of this name"


def test_functions_are_called_by_their_names_and_told_by_their_first_line():
    def mine(answer, sample):
        """Says yes.

        And more.
        """

    assert (called(mine), first_line(mine)) == ("mine", "Says yes.")
    assert first_line(lambda: 1) == "<lambda>"
    check_call("judge", mine, "(answer, sample)", "", None)
    with pytest.raises(InputError, match=r"^judge 'mine' cannot be called as mine\(answer\): missing a required"):
        check_call("judge", mine, "(answer)", "")
    with pytest.raises(InputError, match=r"^judge 'int' is no function int\(answer\)"):
        check_call("judge", 3, "(answer)", "")
