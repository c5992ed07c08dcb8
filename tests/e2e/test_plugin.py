"""Things of another package, installed and found by entry point, and the same things given as objects."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wherelook
from wherelook.attribution import METHODS
from wherelook.baselines import BASELINES
from wherelook.data.datasets import DATASETS
from wherelook.evaluation.judges import JUDGES
from wherelook.evaluation.run_folder import read_run
from wherelook.metrics import METRICS
from wherelook.models import MODELS

ROOT = Path(__file__).parents[2]
REGISTRIES = (METHODS, METRICS, BASELINES, DATASETS, JUDGES, MODELS)
NAMES = {"darkness", "flatness", "negative", "mirrored", "starts-alike", "acme"}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder into which pip has installed the package of examples/plugin."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, str(ROOT / "examples" / "plugin")],
        check=True,
        capture_output=True,
        text=True,
    )
    return folder


@pytest.fixture
def installed(site, monkeypatch) -> Path:
    """This process, as if it had started with the package in its environment."""
    monkeypatch.syspath_prepend(site)
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_taken", {})
        registry.__dict__.pop("others", None)
    yield site
    for registry in REGISTRIES:
        registry.__dict__.pop("others", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_looks"]:
        del sys.modules[name]


@pytest.fixture
def scene_file(tmp_path) -> Path:
    from wherelook.data.scenes import TUNING_SEEDS, make_scene

    make_scene(TUNING_SEEDS[3000], size=(112, 112)).image.save(tmp_path / "scene.png")
    return tmp_path / "scene.png"


def test_nothing_of_another_package_is_there_without_it():
    assert not NAMES & {name for registry in REGISTRIES for name in registry}


def test_they_are_listed(installed, command):
    for listing, name in (("methods", "darkness"), ("metrics", "flatness"), ("datasets", "mirrored")):
        code, output, _ = command(listing)
        assert code == 0
        assert name in output
    assert {name for registry in REGISTRIES for name in registry} >= NAMES


def test_one_explanation_by_entry_points(installed, command, scene_file, tmp_path):
    code, output, errors = command(
        "explain", scene_file, "What color is the circle?", "--model", "acme:embedded", "--method", "darkness",
        "--baseline", "negative", "--metric", "replay", "--metric", "flatness", "--replay-steps", 4,
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert code == 0, errors
    record = json.loads(output)
    assert (record["config"]["method"], record["method"]["baseline"]) == ("darkness", "negative")
    assert record["model"]["id"] == "acme:embedded"
    assert 0 < record["metrics"]["flatness"] < 1
    assert [curve["baseline"] for curve in record["curves"]] == ["negative", "mean"]
    assert "Flatness" in (tmp_path / "out" / "report.html").read_text()
    loaded = wherelook.Explanation.load(tmp_path / "out")
    assert loaded.metrics["flatness"] == record["metrics"]["flatness"]


def test_a_run_and_its_pages_by_entry_points(installed, command, tmp_path):
    run = tmp_path / "run"
    options = ("--model", "acme:embedded", "--method", "darkness,center", "--metric", "replay", "--metric", "flatness",
               "--baseline", "negative", "--judge", "starts-alike", "--replay-steps", 3, "--limit", 3)  # fmt: skip
    code, _, errors = command("run", "mirrored", *options, "--out", run)
    assert code == 0, errors
    about, table = read_run(run)
    rows = table.to_pylist()
    assert {row["run"] for row in rows} == {"darkness:best", "center:best"}
    assert {row["judge"] for row in rows} == {"starts-alike"}
    assert {row["baseline"] for row in rows} == {"negative"}
    assert {row["dataset"] for row in rows} == {"mirrored"}
    assert all(0 < row["flatness"] < 1 for row in rows if row["status"] == "ok")
    assert any(row["status"] == "ok" for row in rows)
    assert about["configuration"]["metrics_told"]["flatness"]["label"] == "Flatness"

    code, _, errors = command("report", run, "--method", "darkness:best", "--out", tmp_path / "report.html")
    assert code == 0, errors
    text = (tmp_path / "report.html").read_text()
    assert "mirrored" in text
    assert "Flatness" in text

    code, output, errors = command("evaluate", "mirrored", *options, "--answers", 2, "--wrong", "--out", run, "--json")
    assert code == 0, errors
    assert all(line["figures"]["flatness"] for line in json.loads(output))
    page = (run / "report.html").read_text()
    assert "Acme" in page
    assert "Flatness ↓" in page


def test_records_are_read_where_the_package_is_not(installed, command, tmp_path, monkeypatch):
    run = tmp_path / "run"
    options = ("--method", "darkness", "--metric", "flatness", "--limit", 2, "--out", run, "--model", "embedded")
    assert command("run", "mirrored", *options)[0] == 0
    monkeypatch.undo()
    for registry in REGISTRIES:
        registry.__dict__.pop("others", None)
        registry._taken.clear()
    assert "flatness" not in METRICS
    table = read_run(run)[1]
    assert "flatness" in table.column_names
    assert table["pointing"].null_count == table["flatness"].null_count  # what costs no pass is always taken
    code, _, errors = command("report", run, "--out", tmp_path / "report.html")
    assert code == 0, errors
    assert "Flatness" in (tmp_path / "report.html").read_text()
    code, _, errors = command("run", "mirrored", *options)
    assert (code, errors.count("\n")) == (2, 1)
    assert "unknown method 'darkness'; valid: guided-igos" in errors


def test_the_same_things_as_objects(installed, tmp_path):
    import acme_looks

    explainer = wherelook.Explainer.from_pretrained("embedded", device="cpu")
    samples = list(acme_looks.mirrored(""))[:2]
    explanation = explainer.explain(
        samples[0].image.picture,
        samples[0].question,
        method=acme_looks.darkness,
        baseline=acme_looks.negative,
        metrics=[acme_looks.flatness, lambda context: context.saliency.std()],
    )
    assert explanation.config["method"] == "darkness"
    assert explanation.config["baseline"] == "negative"
    assert set(explanation.metrics) == {"flatness", "<lambda>"}
    options = {
        "metrics": ["map", acme_looks.flatness],
        "baseline": acme_looks.negative,
        "judge": acme_looks.starts_alike,
    }
    rows = wherelook.run(
        samples,
        tmp_path / "run",
        model=explainer,
        methods=[acme_looks.darkness, "center"],
        **options,
    ).to_pylist()
    assert [row["run"] for row in rows] == ["darkness:best", "center:best"] * 2
    assert {(row["judge"], row["baseline"]) for row in rows} == {("starts_alike", "negative")}
    assert rows[0]["flatness"] == pytest.approx(explanation.metrics["flatness"])
    again = wherelook.run(samples, tmp_path / "run", model=explainer, methods=["edges"], **options)
    assert {row["run"] for row in again.to_pylist()} == {"darkness:best", "center:best", "edges:best"}


def broken(folder: Path, group: str, name: str, value: str) -> None:
    info = folder / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")


def test_a_package_that_cannot_be_imported_is_one_line_and_spoils_nothing(command, tmp_path, monkeypatch, scene_file):
    broken(tmp_path, "wherelook.methods", "odd", "no_such_module:odd")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(METHODS.__dict__, "others", type(METHODS).others.func(METHODS))
    code, output, errors = command("methods")
    assert code == 0
    assert "guided-igos" in output
    assert "the method 'odd' of broken 1.0 cannot be imported from no_such_module:odd: ModuleNotFoundError" in errors
    code, _, errors = command("explain", scene_file, "What is it?", "--method", "odd", "--out", tmp_path / "out")
    assert (code, errors.count("\n")) == (1, 1)
    assert "cannot be imported" in errors


def test_a_name_of_ours_cannot_be_taken(command, tmp_path, monkeypatch):
    broken(tmp_path, "wherelook.judges", "exact", "os:getcwd")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(JUDGES.__dict__, "others", type(JUDGES).others.func(JUDGES))
    assert JUDGES["exact"].__module__ == "wherelook.evaluation.judges"
    said: list[str] = []
    JUDGES.usable(said.append)
    assert said == ["the judge 'exact' of broken 1.0 is left out: wherelook has one of this name"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["depth"]}, "unknown metric 'depth'; valid: map, replay, all, pointing"),
        ({"metrics": [lambda: 1]}, "metric '<lambda>' cannot be called as <lambda>(context)"),
        ({"metrics": ["stability_seed"]}, "metric 'stability_seed' compares two maps of a run"),
        ({"metrics": [3]}, "a metric is a name of `wherelook metrics`, a Metric or a function; got 3"),
        ({"baseline": lambda image: image}, "baseline '<lambda>' cannot be called as <lambda>(image, seed)"),
        ({"baseline": lambda image, seed: image[:4]}, "baseline '<lambda>' returned uint8 of shape (4, 112, 3)"),
        ({"metrics": [lambda context: "much"]}, "metric '<lambda>' returned 'much'; expected a finite number, or None"),
    ],
)
def test_what_is_none_of_a_kind_is_refused_in_one_line(options, message, scene_file):
    explainer = wherelook.Explainer.from_pretrained("embedded", device="cpu")
    with pytest.raises(wherelook.InputError) as caught:
        explainer.explain(str(scene_file), "What color is the circle?", method="center", replay_steps=0, **options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def mask(context):
    return 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge": lambda answer: True}, "judge '<lambda>' cannot be called as <lambda>(answer, sample)"),
        (
            {"metrics": [type("M", (), {"__call__": lambda self, context: 1.0, "__name__": "mask"})()]},
            "a metric cannot",
        ),
        ({"much": 3}, "unknown option 'much'; valid: answers, baseline"),
    ],
)
def test_wrong_options_of_a_run_are_found_before_any_work(options, message, tmp_path):
    samples = [wherelook.Sample.of("1", np.zeros((28, 28, 3), np.uint8), "What color is it?")]
    with pytest.raises(wherelook.InputError) as caught:
        wherelook.run(samples, tmp_path / "run", model="embedded", **options)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "run").exists()


def test_samples_that_are_none_are_refused(tmp_path):
    with pytest.raises(wherelook.InputError, match=r"the samples is made of wherelook.data.datasets.Sample; got"):
        wherelook.run([{"image": "x.png"}], tmp_path / "run", model="embedded", methods=["center"])


def test_a_run_without_an_end_is_refused_before_any_work(tmp_path):
    with pytest.raises(wherelook.InputError, match=r"'scenes' is drawn as needed and has no end: say how many samples"):
        wherelook.run("scenes", tmp_path / "run", methods=["center"])
    assert not (tmp_path / "run").exists()
