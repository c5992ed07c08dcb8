"""The commands on good input: what they print, what they write, and that it is the same the next time."""

from __future__ import annotations

import html
import importlib.util
import itertools
import json
import os
import re
import shlex
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from wherelook import __version__
from wherelook.attribution import METHODS
from wherelook.data import scenes
from wherelook.data.datasets import read_samples
from wherelook.evaluation.records import TIMES
from wherelook.evaluation.run_folder import read_run

KEYS = {
    "schema_version", "status", "reason", "model", "images", "question", "answer", "tokens", "reliance",
    "config", "method", "focus", "metrics", "curves", "token_maps", "cost", "versions", "notes",
    "prompt", "reasoning", "execution", "files",
}  # fmt: skip
CONTRACT = {  # DESIGN: what readers of explanation.json may rely on
    "model": {"id", "revision", "class", "dtype", "attention"},
    "config": {"method", "preset", "seed"},
    "method": {"parameters", "baseline"},
    "cost": {"forward", "backward", "seconds", "peak_bytes"},
    "reliance": {"score"},
    "focus": {"box", "peak"},
    "metrics": {"deletion", "insertion"},
}
IMAGE_KEYS = {"path", "width", "height", "sha256", "share", "focus"}
TOKEN_KEYS = {"text", "id", "log_prob", "log_prob_baseline", "llr", "selected"}

QUICK = ("--replay-steps", 2)
"""For commands whose deletion and insertion are not looked at: 50 steps take most of the time."""


@pytest.fixture
def explain(command, images, model_folder, tmp_path):
    """Explains with the tiny LLaVA; returns the folder with its files."""

    def call(*arguments: object, out: str = "out", image: str = "good.png"):
        code, _, errors = command(
            "explain", images / image, "What color is it?", "--model", model_folder, "--max-new-tokens", 4,
            *(() if "--method" in arguments else ("--preset", "fast")), "--replay-steps", 5, "--out", tmp_path / out,
            *arguments,
        )  # fmt: skip
        assert all(line.startswith("words      maps of single words: at most") for line in errors.splitlines())
        assert code == 0
        return tmp_path / out

    return call


def test_explain_writes_the_files_of_the_contract(explain):
    folder = explain("--per-token")
    assert {path.name for path in folder.iterdir()} == {
        "explanation.json", "mask.npy", "token_masks.npy", "heatmap.png", "overlay.png", "report.html",
    }  # fmt: skip
    record = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))
    assert set(record) == KEYS
    for name, keys in CONTRACT.items():
        assert keys <= set(record[name])
    assert all(set(image) >= IMAGE_KEYS for image in record["images"])
    assert record["tokens"]
    assert all(set(token) >= TOKEN_KEYS for token in record["tokens"])
    assert record["status"] == "ok"
    assert record["versions"]["wherelook"] == __version__
    assert [(image["width"], image["height"], image["share"]) for image in record["images"]] == [(80, 60, 1)]
    x0, y0, x1, y1 = record["focus"]["box"]
    assert 0 <= x0 < x1 <= 80
    assert 0 <= y0 < y1 <= 60

    mask = np.load(folder / "mask.npy")
    assert mask.dtype == np.float32
    assert mask.ndim == 2
    assert mask.min() >= 0
    assert mask.max() == 1
    token_masks = np.load(folder / "token_masks.npy")
    assert token_masks.shape == (len(record["token_maps"]), *mask.shape)
    for name in ("overlay.png", "heatmap.png"):
        with Image.open(folder / name) as picture:
            assert (picture.size, picture.mode) == ((80, 60), "RGB")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What color is it?" in page
    assert 'src="http' not in page


def test_the_files_keep_the_size_of_an_upright_image(explain, images):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(images / "good.png") as picture:
        picture.save(images / "turned.png", exif=exif)
    with Image.open(explain(image="turned.png") / "overlay.png") as picture:
        assert picture.size == (60, 80)


def test_same_seed_same_bytes(explain):
    noisy = ("--method", "igos+", "--set", "iterations=2", "--set", "steps=2", "--seed", "3")
    first, second = (explain(*noisy, out=name) for name in ("first", "second"))
    assert (first / "mask.npy").read_bytes() == (second / "mask.npy").read_bytes()
    other = explain(*noisy[:-1], "4", out="other")
    assert (first / "mask.npy").read_bytes() != (other / "mask.npy").read_bytes()


@pytest.mark.parametrize("method", ["guided-igos:fast", "igos+"])
def test_batch_size_does_not_matter(explain, method):
    options = ("--method", method, "--set", "iterations=2", "--set", "steps=4")
    one, eight = (np.load(explain(*options, "--batch-size", n, out=f"{n}") / "mask.npy") for n in (1, 8))
    np.testing.assert_allclose(one, eight, atol=1e-4)


def test_several_images_have_a_map_and_a_share_each(command, images, model_folder, tmp_path):
    arguments = ("explain", images / "good.png", "What color?", "--image", images / "good.jpg", "--model", model_folder,
                 "--answer", "a red circle", "--alpha", "0", "--preset", "fast", "--replay-steps", "4")  # fmt: skip
    code, output, errors = command(*arguments, "--out", tmp_path / "out")
    assert (code, errors) == (0, "")
    assert "image 1" in output
    assert "image 2" in output
    assert "in pixels of the image\n" not in output
    record = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
    assert [Path(image["path"]).name for image in record["images"]] == ["good.png", "good.jpg"]
    assert sum(image["share"] for image in record["images"]) == pytest.approx(1, abs=1e-4)
    masks = [np.load(tmp_path / "out" / f"mask-{index}.npy") for index in (1, 2)]
    assert np.array_equal(np.concatenate(masks, axis=1), np.load(tmp_path / "out" / "mask.npy"))


def test_frames_of_an_animation_are_the_images_of_a_prompt(command, model_folder, tmp_path):
    levels = [Image.new("RGB", (40, 40), color) for color in ("red", "green", "blue", "white")]
    levels[0].save(tmp_path / "clip.gif", save_all=True, append_images=levels[1:])
    arguments = ("explain", tmp_path / "clip.gif", "What color?", "--frames", 3, "--model", model_folder,
                 "--answer", "a red circle", "--alpha", "0", "--preset", "fast", "--replay-steps", "0")  # fmt: skip
    code, _, errors = command(*arguments, "--out", tmp_path / "out")
    assert (code, errors) == (0, "")
    record = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
    assert [image["frame"] for image in record["images"]] == [1, 3, 4]
    assert "frames 1, 3, 4 of 4" in record["notes"]
    code, _, errors = command(*arguments, "--video", "--out", tmp_path / "video")
    assert code == 2
    assert "has no video input here; it takes images only: show the frames as images" in errors


def test_json_is_what_the_file_holds(command, images, model_folder, tmp_path):
    arguments = ("explain", images / "good.png", "What?", "--model", model_folder, "--answer", "a red circle",
                 "--preset", "fast", "--out", "out", "--json")  # fmt: skip
    code, output, errors = command(*arguments)
    assert (code, errors) == (0, "")
    record = json.loads(output)
    written = json.loads((tmp_path / "out" / "explanation.json").read_text(encoding="utf-8"))
    assert sorted([*written.pop("files"), "explanation.json"]) == sorted(os.listdir(tmp_path / "out"))
    assert record == written
    assert record["answer"].strip() == "a red circle"


def test_words_are_printed_whole(command, images, model_folder):
    code, output, _ = command(
        "explain", images / "good.png", "What?", "--model", model_folder, "--answer", "purple circle, cross",
        "--tokens", "cross purple", "--preset", "fast", "--replay-steps", 0,
    )  # fmt: skip
    assert code == 0
    assert "words      purple cross\n" in output
    assert "answer     purple circle, cross\n" in output


def test_demo_and_explain_with_a_bundled_model(command, tmp_path, monkeypatch):
    asked = {name: scenes.DEMO_QUESTIONS[name] for name in ("relation", "fact")}
    monkeypatch.setattr(scenes, "DEMO_QUESTIONS", asked)  # `make demo` explains them all
    code, output, errors = command("demo", "--model", "things", "--out", tmp_path / "demo")
    assert (code, errors) == (0, "")
    assert "status     ok" in output
    scene = tmp_path / "demo" / "scene.png"
    reports = list((tmp_path / "demo").glob("*/report.html"))
    assert reports
    record = json.loads((reports[0].parent / "explanation.json").read_text(encoding="utf-8"))
    code, output, errors = command(
        "explain", scene, record["question"], "--model", "things", "--preset", "fast", "--replay-steps", 0, "--json"
    )
    assert (code, errors) == (0, "")
    again = json.loads(output)
    assert again["answer"] == record["answer"]
    assert again["model"]["id"] == "things"


def test_check(command, model_folder):
    code, output, errors = command("check", model_folder, "--json")
    assert (code, errors) == (0, "")
    report = json.loads(output)
    assert report["works"] is True
    assert {"geometry", "gradient", "batching", "memory"} <= {row["check"] for row in report["checks"]}
    code, output, _ = command("check", model_folder)
    assert code == 0
    assert output.endswith(f"{model_folder} works with wherelook.\n")


@pytest.mark.parametrize("name", ["methods", "metrics", "models", "zoo", "datasets"])
def test_listings(command, name):
    code, output, errors = command(name, "--json")
    assert (code, errors) == (0, "")
    rows = json.loads(output)
    assert rows
    assert all(set(row) == set(rows[0]) for row in rows)
    code, table, errors = command(name)
    assert (code, errors) == (0, "")
    assert "\\[" not in table
    if name == "methods":
        assert [row["method"] for row in rows] == list(METHODS)
        assert "igos++" in table


def test_scenes(command, tmp_path):
    options = ("--n", 2, "--seed", 7, "--size", "96x128", "--json")
    code, output, errors = command("scenes", "--out", tmp_path / "first", *options)
    assert (code, errors) == (0, "")
    report = json.loads(output)
    assert report["scenes"] == 2
    lines = (tmp_path / "first" / "questions.jsonl").read_text().splitlines()
    assert len(lines) == report["questions"] > 2
    first = json.loads(lines[0])
    with Image.open(tmp_path / "first" / first["image"]) as picture:
        assert picture.size == (128, 96)
    command("scenes", "--out", tmp_path / "second", *options)
    for path in (tmp_path / "first").rglob("*.png"):
        other = tmp_path / "second" / path.relative_to(tmp_path / "first")
        assert path.read_bytes() == other.read_bytes()


@pytest.mark.usefixtures("quick_evaluations")
def test_evaluate_goes_on_where_it_stopped(command, tmp_path):
    options = ("scenes-tuning", "--out", tmp_path, *QUICK)
    code, output, errors = command("evaluate", *options, "--method", "center,random", "--answers", 1, "--json")
    assert (code, errors) == (0, "")
    assert [row["run"] for row in json.loads(output)] == ["center:best", "random:best"]
    first = read_run(tmp_path)[1].to_pylist()
    more = ("--method", "center", "--method", "gradient", "--answers", 2)
    drawn = ("--figures", tmp_path / "figures")
    code, output, errors = command("evaluate", *options, *more, *drawn)
    assert (code, errors) == (0, "")
    assert "gradient:best" in output
    figures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"methods.json", "tables.md", "cost.csv", "cost-insertion.svg", "cost-deletion.pdf"} <= figures
    assert output.endswith(f"report     {tmp_path / 'report.html'}\n")
    rows = read_run(tmp_path)[1].to_pylist()
    assert [row for row in rows if row in first] == first
    assert sorted(row["run"] for row in rows) == ["center:best"] * 2 + ["gradient:best"] * 2 + ["random:best"]
    assert "gradient:best" in (tmp_path / "report.html").read_text()
    assert "gradient:best" in (tmp_path / "table.md").read_text()
    code, output, errors = command("run", *options, *more, "--metric", "all", "--right-only", "--json")
    assert (code, errors, json.loads(output)["samples_now"]) == (0, "", 0)
    code, _, errors = command("evaluate", "scenes", "--out", tmp_path, *QUICK, *more)
    assert code == 2
    assert "holds rows of other data: sample 0 of the dataset was" in errors
    code, _, errors = command("evaluate", *options, *more, "--dtype", "bfloat16")
    assert code == 2
    assert 'configuration.loading.dtype was null and is now "bfloat16"' in errors
    code, _, errors = command("evaluate", *options, *more, "--wrong")
    assert code == 2
    assert "configuration.right_only was true and is now false" in errors
    (tmp_path / "run.json").write_text("[")
    code, _, errors = command("evaluate", *options, *more)
    assert (code, errors.count("\n")) == (2, 1)
    assert "run.json cannot be read as JSON: name a new folder" in errors


@pytest.mark.usefixtures("quick_evaluations")
def test_evaluate_marks_what_fails_its_sanity_check_and_checks_once(command, tmp_path, monkeypatch):
    monkeypatch.setattr("wherelook.evaluation.run.WEIGHT_STAGES", ("all weights",))  # the one that decides
    options = ("evaluate", "scenes-tuning", "--out", tmp_path, "--answers", 2, *QUICK)
    code, output, errors = command(*options, "--method", "center", "--json")
    assert (code, errors) == (0, "")
    assert [row["sanity"] for row in json.loads(output)] == ["not checked"]
    code, output, errors = command(*options, "--method", "center,gradient", "--sanity", 2, "--json")
    assert (code, errors) == (0, "")
    assert {row["run"]: row["sanity"] for row in json.loads(output)} == {
        "center:best": "fails",
        "gradient:best": "passes",
    }
    for name in ("table.md", "report.html"):
        assert (tmp_path / name).read_text().count("fails sanity") >= 1
    monkeypatch.setattr("wherelook.evaluation.worker.ModelWorker", None)
    code, output, errors = command(*options, "--method", "center", "--sanity", 2)
    assert (code, errors) == (0, "")
    assert "center:best (fails sanity)" in output


@pytest.fixture
def lines(tmp_path):
    """A data set of three questions; the gray image has no baseline of its own."""
    rows = []
    for number, sample in enumerate(itertools.islice(read_samples("scenes-tuning"), 2)):
        Image.fromarray(sample.image.pixels).save(tmp_path / f"{number}.png")
        rows.append({"image": f"{number}.png", "question": sample.question, "paraphrase": sample.paraphrase})
    Image.new("RGB", (64, 64), (128, 128, 128)).save(tmp_path / "gray.png")
    rows.insert(0, rows[0] | {"image": "gray.png"})
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "data.jsonl"


@pytest.mark.usefixtures("quick_evaluations")
def test_the_command_on_the_page_makes_the_evaluation_again(command, lines, tmp_path, monkeypatch):
    monkeypatch.setattr("wherelook.evaluation.run.WEIGHT_STAGES", ("all weights",))  # of four that go the same way
    options = (
        "--method", "random", "--answers", 3, "--stability", 1, "--baseline-from-dataset", "--wrong", "--sanity", 2,
        "--seed", 5, *QUICK,
    )  # fmt: skip
    template = "<|user|>{image}{question}<|assistant|>"
    code, _, errors = command(
        "evaluate",
        lines,
        "--model",
        "embedded",
        *options,
        "--dtype",
        "float32",
        "--prompt-template",
        template,
        "--out",
        "first",
    )
    assert (code, errors) == (0, "")
    page = (tmp_path / "first" / "report.html").read_text()
    words = shlex.split(html.unescape(re.search('<pre class="command"[^>]*><code>(.*?)</code>', page)[1]))
    assert words[0] == "wherelook"
    assert words[-2:] == ["--out", "NEW_FOLDER"]
    assert template in words
    assert command(*words[1:])[0] == 0
    first, second = (read_run(tmp_path / folder, conditions=True) for folder in ("first", "NEW_FOLDER"))
    assert [row["status"] for row in first[1].to_pylist() if not row["condition"]] == ["ok"] * 3
    assert first[0] == second[0]
    assert first[1].drop_columns(list(TIMES)).equals(second[1].drop_columns(list(TIMES)))


@pytest.mark.usefixtures("quick_evaluations")
def test_a_sanity_check_that_fails_leaves_the_table(command, lines, tmp_path, monkeypatch):
    # The rows and the checks are made of the same prompts.
    monkeypatch.setattr("wherelook.models.huggingface.model.MANY_TOKENS", 10)
    options = ("evaluate", lines, "--model", "embedded", "--method", "center", "--limit", 2, "--sanity", 2, *QUICK)
    code, output, errors = command(*options, "--out", tmp_path / "out")
    assert code == 1
    assert "fewer than two of the answers are visually grounded" in errors
    assert errors.count("warning    sample") == 1
    assert "not checked" in output
    assert (tmp_path / "out" / "table.md").is_file()


@pytest.mark.usefixtures("quick_evaluations")
def test_an_evaluation_in_which_every_method_failed_is_a_failure(command, tmp_path, monkeypatch):
    """Its files are written all the same, and the commonest error is told."""
    monkeypatch.setattr("wherelook.evaluation.explained.explain_answer", full_memory)
    options = ("evaluate", "scenes-tuning", "--method", "center", "--answers", 3, "--out", tmp_path, *QUICK)
    code, _, errors = command(*options)
    assert code == 1
    assert re.search(r"no method made a map in .*\(3 of 3 rows\): out of memory", errors.splitlines()[-1])
    assert (tmp_path / "table.md").is_file()


def full_memory(*_: object, **__: object) -> None:
    raise MemoryError


def test_sanity(command, tmp_path):
    options = ("scenes-tuning", "--method", "center,gradient", "--sanity", 2, "--out", tmp_path)
    code, output, errors = command("sanity", *options, "--json")
    assert (code, errors) == (0, "")
    assert {row["method"]: row["verdict"] for row in json.loads(output)} == {
        "center:best": "fails", "gradient:best": "passes",
    }  # fmt: skip
    code, output, errors = command("sanity", *options)
    assert (code, errors) == (0, "")
    assert "center:best" in output
    assert "fails" in output


@pytest.mark.usefixtures("quick_evaluations")
def test_sweep(command, tmp_path):
    options = ("--method", "guided-igos:fast", "--set", "smooth=1,3", "--answers", 1, "--out", tmp_path, *QUICK)
    code, output, errors = command("sweep", *options)
    assert (code, errors) == (0, "")
    for name in ("guided-igos:fast ", "guided-igos:fast[smooth=1]", "guided-igos:fast[smooth=3]"):
        assert name in output


def test_power(command):
    question = "power", "--test", "mcnemar", "--effect", 0.1, "--discordant", 0.3, "--comparisons", 6
    code, output, errors = command(*question)
    assert (code, errors) == (0, "")
    match = re.fullmatch(
        r"(\d+) samples: power (8\d\.\d)% to see difference of two paired shares = 0\.1 "
        r"\(mcnemar, two-sided level 0\.05, Holm over 6 comparisons, discordant 0\.3\)\n",
        output,
    )
    assert match
    record = json.loads(command(*question, "--samples", match[1], "--json")[1])
    assert (record["samples"], record["settings"]) == (int(match[1]), {"discordant": 0.3})
    assert f"{record['power']:.1%}" == f"{match[2]}%"


def test_help_and_version(command):
    assert command("--version")[:2] == (0, f"wherelook {__version__}\n")
    code, output, errors = command()
    assert (code, errors) == (0, "")
    assert output == command("--help")[1]
    names = ("explain", "demo", "check", "models", "zoo", "methods", "metrics", "datasets", "scenes")
    for name in (*names, "run", "evaluate", "sanity", "sweep"):
        assert f"  {name} " in output
        assert command(name, "--help")[0] == 0


def test_run_gives_every_sample_a_row_and_goes_on(command, lines, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with lines.open("a") as file:
        file.write("\n" + json.dumps({"image": "broken.png", "question": "What?"}))
    options = (
        "run",
        lines,
        "--model",
        "embedded",
        "--out",
        tmp_path / "out",
        "--method",
        "center",
        "--metric",
        "map",
        "--blind",
    )
    code, output, errors = command(*options, "--limit", 2, "--json")
    assert (code, errors) == (0, "")
    assert json.loads(output)["samples_now"] == 2
    code, output, errors = command(*options, "--seed", 1, "--json")
    assert (code, errors.count("\n")) == (2, 1)
    assert "holds a run with other settings: configuration.seed was 0 and is now 1" in errors
    code, output, errors = command(*options, "--json")
    assert (code, errors.count("\n")) == (0, 1)
    assert errors.startswith("warning    1 sample failed, the commonest error (1 of them): ")
    assert "broken.png" in errors
    assert errors.endswith(" (center:best; --retry-errors tries again)\n")
    result = json.loads(output)
    assert (result["samples"], result["samples_now"]) == (4, 2)
    (line,) = result["runs"]
    assert (line["rows"], line["ok"], line["not_visual"], line["error"]) == (4, 2, 1, 1)
    table = pyarrow.parquet.read_table(tmp_path / "out" / "records")
    assert table["status"].to_pylist() == ["not_visual", "ok", "ok", "error"]
    assert "broken.png" in table["error"][3].as_py()
    assert [answer is None for answer in table["blind_answer"].to_pylist()] == [True, False, False, True]  # all gray
    code, output, errors = command(*options, "--method", "random", "--retry-errors")
    assert code == 0
    assert errors.startswith("retry      1 failed sample\n")
    assert "1 sample failed" in errors
    assert "(center:best, random:best; --retry-errors tries again)" in errors
    assert output.endswith(f"4 samples done (4 new), in {tmp_path / 'out'}\n")
    table = pyarrow.parquet.read_table(tmp_path / "out" / "records")
    assert table["run"].to_pylist() == ["center:best", "random:best"] * 4
    code, output, errors = command(*options)
    assert (code, errors.count("\n")) == (0, 1)
    assert output.endswith(f"4 samples done (0 new), in {tmp_path / 'out'}\n")


def test_a_run_of_which_nothing_works_says_why_and_fails(command, tmp_path):
    rows = [{"image": f"missing-{number}.png", "question": "What?", "answer": "a"} for number in range(7)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ("run", tmp_path / "data.jsonl", "--model", "embedded", "--out", tmp_path / "out", "--method", "center")
    for lines in (2, 1):
        code, output, errors = command(*options)
        assert (code, errors.count("\n")) == (1, lines)
        assert "7 samples done" in output
        assert f"wherelook: none of 7 rows in {tmp_path / 'out'} worked; the commonest error (7 of them): " in errors
        assert "'missing-0.png'" in errors
    code, _, errors = command(*options, "--retry-errors")
    assert code == 1
    assert errors.startswith("retry      7 failed samples\nwarning    5 samples in a row failed, the last one with: ")
    assert pyarrow.parquet.read_table(tmp_path / "out" / "records")["status"].to_pylist() == ["error"] * 7


def test_compare_reads_what_run_writes(command, lines, tmp_path):
    for seed in (0, 1):
        code, _, errors = command(
            "run",
            lines,
            "--model",
            "embedded",
            "--out",
            tmp_path / f"seed{seed}",
            "--method",
            "random",
            "--metric",
            "map",
            "--seed",
            seed,
        )
        assert (code, errors) == (0, "")
    runs = [tmp_path / "seed0", tmp_path / "seed1"]
    code, _, errors = command("compare", *runs)
    assert (code, errors.count("\n")) == (2, 1)
    assert "hold the same sample" in errors
    labels = [f"--label={run}=Tiny:{run.name}:{run.name}" for run in runs]
    code, output, errors = command("compare", *runs, *labels, "--figures", tmp_path / "figures")
    assert (code, errors) == (0, "")
    assert re.search(r"^seed0 +seed1 +other scale ", output, re.MULTILINE)
    assert output.endswith(f"figures    {tmp_path / 'figures'}\n")
    record = json.loads((tmp_path / "figures" / "compare.json").read_text())
    assert [model["parameters"] for model in record["models"]] == [record["models"][0]["parameters"]] * 2
    assert record["models"][0]["parameters"] > 10**6
    assert pyarrow.parquet.read_table(tmp_path / "figures" / "pairs.parquet")["items"].to_pylist() == [2]
    code, output, errors = command("compare", *runs, *labels, "--json", "--measure", "transport")
    assert (code, errors) == (0, "")
    assert json.loads(output)["measure"] == "transport"


def test_run_reads_no_more_of_a_large_data_set_than_its_limit(command, lines, tmp_path):
    line = json.loads(lines.read_text().splitlines()[0])
    with (tmp_path / "large.jsonl").open("w") as file:
        for number in range(100_000):
            file.write(json.dumps(line | {"id": str(number)}) + "\n")
    started = time.monotonic()
    code, output, errors = command(
        "run",
        tmp_path / "large.jsonl",
        "--model",
        "embedded",
        "--out",
        "out",
        "--method",
        "center",
        "--limit",
        2,
        "--json",
    )
    assert (code, errors) == (0, "")
    assert json.loads(output)["samples"] == 2
    assert time.monotonic() - started < 10


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="needs the extra `quantized`")
def test_a_quantized_run_is_not_gone_on_with_by_whole_weights(command, tmp_path):
    options = ("--out", tmp_path / "run", "--method", "center", "--metric", "map", "--limit", 1)
    code, _, _ = command("run", "scenes-tuning", *options, "--quantize", "int8", "--device", "cpu")
    assert code == 0
    assert json.loads((tmp_path / "run" / "run.json").read_text())["model"]["quantization"] == "int8"
    code, _, errors = command("run", "scenes-tuning", *options[:-1], 2, "--device", "cpu")
    assert code == 2
    assert 'configuration.loading.quantize was "int8" and is now null' in errors
    code, _, errors = command("report", tmp_path / "run", "--out", tmp_path / "page.html")
    assert (code, errors) == (0, "")
    assert "--quantize int8" in (tmp_path / "page.html").read_text(encoding="utf-8")
