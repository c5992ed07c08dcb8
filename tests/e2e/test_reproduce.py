"""The command under "How to reproduce", run to the letter: the same answer after the same thought, the same bytes."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import transformers
from PIL import Image

from thinking_forms import ANSWER, FORMS, THOUGHT, make, script

QUESTION = "What color is it?"
CHEAP = (
    *("--method", "occlusion", "--preset", "fast", "--set", "cells=8", "--set", "window=4", "--set", "stride=4"),
    *("--replay-steps", 0),
)
FORM = FORMS["qwen3.5, switchable"]
CLOSED = f"{THOUGHT}\n</think>\n\n"

ESTIMATE = "words      maps of single words: at most"
"""What is said before maps of single words are made."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory, model_folder) -> dict[str, Path]:
    """A tiny LLaVA, and a tiny model with a switch for thinking, as save_pretrained writes them."""
    thinking = tmp_path_factory.mktemp("thinking")
    transformers.utils.logging.disable_progress_bar()
    for part in make(FORM):
        part.save_pretrained(thinking)
    return {"plain": model_folder, "thinking": thinking}


COMMANDS = {
    "length": ("plain", "--max-new-tokens", 2),
    "prompt template": ("plain", "--prompt-template", "{image} Q: {question}\nA:", "--max-new-tokens", 3),
    "given answer": ("plain", "--answer", "It is 'red' & \"blue\"; 50 %.", "--tokens", "red blue"),
    "words, threshold, baseline": (
        *("plain", "--tokens", "all", "--alpha", 0.25, "--baseline", "mean", "--seed", 7, "--max-new-tokens", 5),
    ),
    "baseline image": (
        *("plain", "--baseline", "image", "--baseline-image", "{images}/gray.png", "--max-new-tokens", 3),
    ),
    "batches": ("plain", "--batch-size", 3, "--memory-limit", 0.5, "--device", "cpu", "--dtype", "float32"),
    "method": (
        *("plain", "--method", "guided-igos", "--set", "iterations=2", "--per-token", "--checkpointing"),
        *("--max-new-tokens", 4, "--replay-steps", 4),
    ),
    "several images": ("plain", "--image", "{images}/gray.png", "--max-new-tokens", 3),
    "frames": ("plain", "--frames", 2, "--max-new-tokens", 3),
    "thinking": ("thinking", "--think", "on", "--max-thinking-tokens", 300, "--max-new-tokens", 20),
    "not thinking": ("thinking", "--think", "off", "--system", "Be brief: 'one' \"word\"."),
    "template option": ("thinking", "--template-option", "enable_thinking=False", "--max-new-tokens", 9),
    "given after the model's thought": ("thinking", "--answer", ANSWER),
    "given after a given thought": ("thinking", "--answer", ANSWER, "--reasoning", CLOSED),
    "answered after a given thought": ("thinking", "--reasoning", "It is\nround.", "--max-new-tokens", 9),
    "given after an empty thought": ("thinking", "--answer", ANSWER, "--reasoning", ""),
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_on_the_page_gives_the_same_answer_and_the_same_bytes(
    command, folders, images, tmp_path, monkeypatch, name
):
    model, *options = COMMANDS[name]
    Image.new("RGB", (80, 60), (120, 130, 140)).save(tmp_path / "gray.png")
    shown = images / "good.png"
    if "--frames" in options:
        shown = tmp_path / "frames.gif"
        frames = [Image.open(images / "good.png").convert("RGB").rotate(90 * turn) for turn in range(2)]
        frames[0].save(shown, save_all=True, append_images=frames[1:])
    if model == "thinking":
        script(monkeypatch, FORM.thought, ANSWER)
    filled = [
        str(option).replace("{images}", str(tmp_path)) if "{images}" in str(option) else option for option in options
    ]
    cheap = [] if "--method" in options else CHEAP
    code, _, errors = command("explain", shown, QUESTION, "--model", folders[model], *filled, *cheap, "--out", "first")
    assert code == 0
    assert all(line.startswith(ESTIMATE) for line in errors.splitlines())
    page = Path("first/report.html").read_text(encoding="utf-8")
    written = html.unescape(re.sub("<[^>]+>", "", re.search('<pre class="command".*?</pre>', page, re.S)[0]))
    split = subprocess.run(["bash", "-c", f"printf '%s\\0' {written}"], capture_output=True, check=True)
    words = split.stdout.decode().split("\0")[:-1]
    assert words[:2] == ["wherelook", "explain"]
    code, _, errors = command(*words[1:-2], "--out", "second", *words[-2:])
    assert code == 0
    assert all(line.startswith(ESTIMATE) for line in errors.splitlines())
    first, second = (
        json.loads((tmp_path / folder / "explanation.json").read_text(encoding="utf-8"))
        for folder in ("first", "second")
    )
    for record in (first, second):
        for changing in ("seconds", "peak_bytes"):
            record["cost"].pop(changing)
        record["method"]["cost"].pop("seconds")
        record["files"].pop("report.html")  # it tells the seconds, too
    if "--baseline" not in options:  # "auto" tried others before the one that it found
        first["cost"] = second["cost"] = first["method"]["cost"] = second["method"]["cost"] = None
    assert second == first
    for file in Path("first").glob("*.npy"):
        assert file.read_bytes() == (Path("second") / file.name).read_bytes()


def test_the_thought_is_on_the_terminal_shortened(command, folders, images, monkeypatch):
    script(monkeypatch, FORM.thought.replace(THOUGHT, "so it is " * 60), ANSWER)
    arguments = ("explain", images / "good.png", QUESTION, "--model", folders["thinking"], *CHEAP)
    code, output, _ = command(*arguments)
    assert code == 0
    line = next(line for line in output.splitlines() if line.startswith("thought"))
    assert line.startswith("thought    so it is so it is")
    assert line.endswith(" ...")
    assert len(line) < 220
    code, _, errors = command(*arguments, "--max-thinking-tokens", 20)
    assert code == 1
    assert errors.count("\n") == 1
    assert "does not come to its end within 20 tokens: there is no answer to explain; allow more with" in errors
    code, output, _ = command(*arguments, "--think", "off", "--json")
    assert json.loads(output)["reasoning"] == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--think", "maybe"), "think is 'on', 'off' or None; got 'maybe'"),
        (("--template-option", "thinking"), "--template-option 'thinking': expected KEY=VALUE, for example"),
        (("--template-option", "enable_thinkin=false"), "has no variable 'enable_thinkin': leave it out"),
        (("--system", ""), "system is the text of a system message; got none"),
        (("--think", "off", "--reasoning", "so red"), "the prompt has an empty thought already (think is off)"),
        (("--answer", "<think>so</think>red"), "a mark of a thought: give the thought apart"),
    ],
)
def test_what_does_not_fit_is_one_line(command, folders, images, options, message):
    code, _, errors = command(
        "explain", images / "good.png", QUESTION, "--model", folders["thinking"], *CHEAP, *options
    )
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1
