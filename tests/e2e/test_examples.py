"""The examples run."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_an_explanation_is_loaded_and_plotted(command, images, model_folder, tmp_path, monkeypatch, capsys):
    code, _, _ = command(
        "explain", images / "good.png", "What color is it?", "--model", model_folder, "--max-new-tokens", 4,
        "--preset", "fast", "--replay-steps", 5, "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    monkeypatch.setattr(sys, "argv", ["load_explanation.py", str(tmp_path / "out"), str(tmp_path / "plot.png")])
    runpy.run_path(str(EXAMPLES / "load_explanation.py"), run_name="__main__")
    output = capsys.readouterr().out
    assert output.startswith("<Explanation ")
    assert "missing" not in output
    assert " nats without the image\n" in output
    with Image.open(tmp_path / "plot.png") as plot:
        assert plot.size == (640, 480)


def test_functions_of_ones_own_explain_measure_and_judge(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["own_functions.py", str(tmp_path / "run")])
    runpy.run_path(str(EXAMPLES / "own_functions.py"), run_name="__main__")
    output = capsys.readouterr().out
    assert output.startswith("<Explanation ok: ")
    assert "'run': 'contrast:best', 'correct': True, 'judge': 'first_word', 'status': 'ok'" in output
