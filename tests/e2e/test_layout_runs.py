"""`wherelook run NAME:PATH` on every benchmark as it is published: one command, and a row for every question.

Who answers is a stand-in that gives the first reference; all else is the command itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from layouts import LAYOUTS
from published import Builder
from wherelook.data.datasets import prompt_style
from wherelook.errors import WherelookError
from wherelook.evaluation.judges import judge_answer
from wherelook.evaluation.local import Finished, Task
from wherelook.evaluation.rows import evidence_row, image_row, method_row, sample_row
from wherelook.evaluation.run_folder import read_run
from wherelook.evaluation.worker import Procedure


class StandIn:
    """A worker without a model: it knows the right answers, and makes no map."""

    about: Mapping[str, Any] = {"id": "stand-in"}

    def __init__(self, procedure: Procedure, model: str, options: Mapping[str, Any]) -> None:
        self.procedure = procedure

    def __call__(self, task: Task) -> Finished:
        sample, (run,) = task.sample, self.procedure.methods
        row = sample_row(sample) | method_row(run, self.procedure.seed) | {"position": task.position}
        try:
            row |= image_row(sample) | evidence_row(sample)
        except WherelookError as error:
            return Finished([row | {"status": "error", "error": str(error)}])
        row["answer"] = sample.reference or "I cannot tell."
        if prompt_style(sample, self.procedure.prompt) == "choices" and sample.reference in sample.choices:
            row["answer"] = "ABCDEFGH"[sample.choices.index(sample.reference)]
        verdict = judge_answer(row["answer"], sample, judge=self.procedure.judge, style=self.procedure.prompt)
        return Finished([row | asdict(verdict) | {"status": "not_visual", "reason": "a stand-in"}])

    def give_up(self, task: Task, error: str) -> Finished:
        raise NotImplementedError


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_command_reads_it(command, tmp_path, monkeypatch, layout):
    build = Builder(tmp_path / "data")
    name, write = LAYOUTS[layout]
    expected = write(build)
    monkeypatch.setattr("os.fsync", lambda _: None)
    monkeypatch.setattr("wherelook.evaluation.worker.load_worker", StandIn)
    code, output, errors = command(
        "run", f"{name}:{build.root}", "--model", "embedded", "--out", tmp_path / "run", "--method", "center", "--json"
    )
    assert code == 0
    broken = any(one.color is None for one in expected)
    assert [line[:10] for line in errors.splitlines()] == ["warning   "] * broken, errors
    assert json.loads(output)["samples"] == len(expected)
    for row, one in zip(read_run(tmp_path / "run")[1].to_pylist(), expected, strict=True):
        assert row["sample"] == one.id
        if one.color is None:
            assert row["status"] == "error"
            assert "no image" in row["error"]
        else:
            # The authors' own judge accepts the right answer; where nobody knows it, it says nothing.
            assert row["correct"] is (True if one.references else None)
            assert one.judge is None or row["judge"] == one.judge
