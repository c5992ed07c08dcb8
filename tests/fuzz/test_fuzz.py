"""A few seconds of the fuzz for every reader; `make fuzz` is the long one."""

from __future__ import annotations

import pytest

from fuzz.engine import Target, run
from fuzz.targets import TARGETS
from wherelook.errors import InputError

COUNT = 60
"""Inputs of a reader with a share of 1."""

SECONDS = 4.0
"""After so many no further input of a reader is tried: a busy machine tries fewer."""


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.filterwarnings("ignore")  # libraries warn about damaged files
def test_no_input_does_more_than_be_refused(name, tmp_path):
    target = TARGETS[name]
    tally = run(target, 0, int(COUNT * target.share), tmp_path, seconds=SECONDS)
    assert [f"{failure.target} {failure.number}: {failure.what}" for failure in tally.failures] == []
    assert tally.read + tally.refused > 0


def test_inputs_are_the_same_every_time(tmp_path):
    from random import Random

    for target in TARGETS.values():
        assert target.make(Random(f"{target.name}/7")) == target.make(Random(f"{target.name}/7"))


def test_foreign_errors_hangs_and_errors_of_many_lines_are_failures(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzz.engine.LONGEST", 0.05)

    def read(number: float, _: object) -> None:
        if number < 0.25:
            raise KeyError(number)
        if number < 0.5:
            raise InputError("one\ntwo")
        if number < 0.75:
            while True:
                pass

    tally = run(Target("made up", lambda random: random.random(), read), 0, 20, tmp_path)
    kinds = ("KeyError", "HangError", "no single line")
    found = [[kind for kind in kinds if kind in failure.what] for failure in tally.failures]
    assert sorted({kind for (kind,) in found}) == sorted(kinds)
    assert tally.read > 0
