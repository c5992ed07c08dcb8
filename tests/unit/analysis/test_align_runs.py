"""Runs put together: models, labels, common samples, clusters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulated_runs import METHOD, Simulated, simulate_run
from wherelook.analysis.align_runs import (
    Label,
    parse_label,
    parse_verdicts,
    put_together,
    read_labels,
    read_maps,
    scale_class,
)
from wherelook.analysis.benchmarks import benchmark_name
from wherelook.errors import InputError


@pytest.fixture
def two(tmp_path):
    models = Simulated("hub/a", "Llava", 7_060_000_000), Simulated("hub/b", "Qwen", 494_000_000)
    return [simulate_run(tmp_path / model.name[-1], model, samples=range(6)) for model in models]


def refused(*arguments, **options) -> str:
    with pytest.raises(InputError) as error:
        put_together(*arguments, **options)
    return str(error.value)


def test_models_are_labelled_by_class_and_size(two):
    found = put_together(two, {})
    assert [(m.name, m.architecture, m.scale) for m in found.models] == [
        ("a", "Llava", "6B-10B"),
        ("b", "Qwen", "300M-1B"),
    ]
    assert found.method == METHOD
    assert found.notes == ()


def test_labels_win(two):
    found = put_together(two, {f"{two[0]}/": Label("LLaVA-1.5", "7B", "mine")})
    assert [(m.name, m.architecture, m.scale) for m in found.models] == [
        ("mine", "LLaVA-1.5", "7B"),
        ("b", "Qwen", "300M-1B"),
    ]


@pytest.mark.parametrize(
    ("sold_as", "parameters", "expected"),
    [
        ("LLaVA-1.5-7B", 7_063_427_072, "6B-10B"),
        ("Qwen2-VL-7B", 8_291_375_616, "6B-10B"),
        ("Idefics3-8B", 8_462_173_552, "6B-10B"),
        ("LLaVA-1.5-13B", 13_350_839_296, "10B-20B"),
        ("Gemma-3-12B", 12_187_325_040, "10B-20B"),
        ("Qwen2.5-VL-3B", 3_754_622_976, "3B-6B"),
        ("Gemma-3-4B", 4_300_079_472, "3B-6B"),
        ("Qwen2-VL-2B", 2_208_985_600, "1B-3B"),
        ("SmolVLM-256M", 256_484_928, "100M-300M"),
        ("LLaVA-OneVision-0.5B", 893_617_184, "300M-1B"),
        ("Gemma-3-27B", 27_432_406_640, "20B-50B"),
        ("LLaVA-NeXT-34B", 34_751_120_384, "20B-50B"),
        ("Qwen2-VL-72B", 73_405_560_320, "50B-100B"),
        ("tiny", 999, "under 1k"),
        ("huge", 2 * 10**12, "over 1000B"),
        ("unknown", None, "unknown"),
    ],
)
def test_models_that_are_sold_as_of_one_size_share_a_class(sold_as, parameters, expected):
    assert scale_class(parameters) == expected


def test_runs_of_one_model_are_one_model(tmp_path):
    runs = [
        simulate_run(tmp_path / name, Simulated("a"), samples=range(4), dataset=dataset)
        for name, dataset in (("first", "mmvp:/data/MMVP"), ("second", "scenes"))
    ]
    found = put_together(runs, {})
    assert [model.runs for model in found.models] == [tuple(map(str, runs))]
    assert [benchmark.name for benchmark in found.benchmarks] == ["mmvp", "scenes"]


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        *(("scenes", "scenes"), ("mmvp:MMVP/zip", "mmvp"), ("/data/mine.jsonl", "mine.jsonl"), ("C:\\x", "C:\\x")),
        *(("table:/data/mine.csv,image=picture", "mine.csv"), ("hub:owner/questions,split=test", "questions")),
    ],
)
def test_a_benchmark_has_no_place(dataset, name):
    assert benchmark_name(dataset) == name


def tables(folder: Path, *runs: tuple[str, str, range, str | None]) -> dict[str, list[str]]:
    """Samples of each benchmark, of runs with a model, a dataset, samples and perhaps a name."""
    paths = []
    for number, (model, dataset, samples, name) in enumerate(runs):
        path = simulate_run(folder / str(number), Simulated(model), samples=samples, dataset=dataset)
        about = json.loads((path / "run.json").read_text())
        about["configuration"]["name"] = name
        (path / "run.json").write_text(json.dumps(about))
        paths.append(path)
    found = put_together(paths, {})
    rotated = any("circular" in dataset for _, dataset, *_ in runs)
    told_apart = len(found.benchmarks) > 1 and not rotated and not any(name for *_, name in runs)
    assert any("data of one name without a common sample" in note for note in found.notes) == told_apart
    return {benchmark.name: list(benchmark.samples) for benchmark in found.benchmarks}


SHARD = "test-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        # two tables of one name, as most files of the hub are called
        (
            [("a", f"/d/one/{SHARD}", range(3), None), ("a", f"table:/d/two/{SHARD},image=i", range(3, 5), None)],
            {f"one/{SHARD}": ["s0", "s1", "s2"], f"two/{SHARD}": ["s3", "s4"]},
        ),
        # one table that two models were asked at different places
        (
            [("a", f"/d/one/{SHARD}", range(3), None), ("b", f"/d/two/{SHARD}", range(1, 4), None)],
            {SHARD: ["s1", "s2"]},
        ),
        # two that a third run joins
        (
            [("a", SHARD, range(2), None), ("a", SHARD, range(2, 4), None), ("b", SHARD, range(1, 3), None)],
            {SHARD: ["s1", "s2"]},
        ),
        # at one place, with other content
        (
            [("a", SHARD, range(2), None), ("a", SHARD, range(2, 4), None)],
            {SHARD: ["s0", "s1"], f"{SHARD} (2)": ["s2", "s3"]},
        ),
        # named
        (
            [("a", f"/d/one/{SHARD}", range(2), "mine"), ("a", f"/d/two/{SHARD}", range(2, 4), "mine")],
            {"mine": ["s0", "s1", "s2", "s3"]},
        ),
        (
            [("a", f"/d/one/{SHARD}", range(2), "one"), ("a", f"/d/one/{SHARD}", range(2), "two")],
            {"one": ["s0", "s1"], "two": ["s0", "s1"]},
        ),
        # two sets of one benchmark, such as POPE on COCO and on A-OKVQA: their figures are not those of one
        (
            [("a", "pope:/d/one", range(2), None), ("a", "pope:/d/two", range(2, 4), None)],
            {"pope:d/one": ["s0", "s1"], "pope:d/two": ["s2", "s3"]},
        ),
        # with rotated options it is another one
        (
            [("a", "mmbench:/d/x", range(2), None), ("a", "mmbench:/d/x,circular=true", range(2), None)],
            {"mmbench": ["s0", "s1"], "mmbench circular": ["s0", "s1"]},
        ),
    ],
)
def test_a_benchmark_is_its_content_or_its_name_not_a_files_name(tmp_path, runs, expected):
    assert tables(tmp_path, *runs) == expected


def test_a_changed_sample_is_another_one(tmp_path):
    runs = [
        simulate_run(tmp_path / "a", Simulated("a"), samples=range(4)),
        simulate_run(tmp_path / "b", Simulated("b"), samples=range(4), changes={2: {"fingerprint": "other"}}),
    ]
    assert put_together(runs, {}).benchmarks[0].samples == ("s0", "s1", "s3")


def test_clusters_join_images_and_groups(tmp_path):
    changes = {3: {"group": "pair"}, 4: {"group": "pair"}, 5: {"image_sha256": None}}
    run = simulate_run(tmp_path / "a", Simulated("a"), samples=range(8), per_image=2, changes=changes)
    clusters = put_together([run], {}).benchmarks[0].clusters
    groups = [{place for place, name in enumerate(clusters) if name == other} for other in dict.fromkeys(clusters)]
    assert groups == [{0, 1}, {2, 3, 4}, {5}, {6, 7}]


def test_an_image_that_one_model_could_not_read_is_known_from_the_other(tmp_path):
    runs = [
        simulate_run(
            tmp_path / "a", Simulated("a"), samples=range(2), per_image=2, changes={0: {"image_sha256": None}}
        ),
        simulate_run(tmp_path / "b", Simulated("b"), samples=range(2), per_image=2),
    ]
    assert len(set(put_together(runs, {}).benchmarks[0].clusters)) == 1


def test_maps_come_in_the_order_of_the_samples(two):
    benchmark = put_together(two, {}).benchmarks[0]
    rows = benchmark.rows["a"]
    backwards = read_maps(rows[::-1], METHOD)
    assert all(one.equal(other) for one, other in zip(backwards[::-1], read_maps(rows, METHOD), strict=True))
    assert backwards[0].shape == (7, 7)


def test_what_is_refused(tmp_path, two):
    first, second = two
    assert refused([tmp_path / "none"], {}).startswith(f"{tmp_path / 'none'} holds no run")
    assert refused([first, first], {}) == f"run '{first}' is named twice"
    assert refused([first], {"other": Label("x", "y")}) == (
        f"there is a label for 'other', which is not compared; expected one of: {first}"
    )
    assert refused([first], {}, verdicts={"other": tmp_path / "v.csv"}) == (
        f"there are verdicts for 'other', which is not compared; expected one of: {first}"
    )
    assert refused(two, {}, "rise:best") == f"not all runs have method 'rise:best'; common: {METHOD}"
    names = {str(first): Label("x", "y", "same"), str(second): Label("x", "z", "same")}
    assert refused(two, names) == (
        f"the runs {first}, {second} are of different models named 'same'; "
        "give them names with --label RUN=ARCHITECTURE:SCALE:NAME"
    )
    again = simulate_run(tmp_path / "again", Simulated("hub/a", "Llava", 7_060_000_000), samples=range(5, 9))
    assert refused([first, again], {}) == (
        f"{again} and {first} hold the same sample 's5' of the same model; "
        "compare one of them, or give them names with --label RUN=ARCHITECTURE:SCALE:NAME"
    )
    apart = simulate_run(tmp_path / "apart", Simulated("c"), samples=range(10, 12))
    assert refused([first, apart], {}) == ("the runs have no sample in common: expected runs over the same datasets")


def test_runs_without_a_common_method(tmp_path, two):
    about = json.loads((two[1] / "run.json").read_text())
    about["configuration"]["runs"] = ["center:best"]
    (two[1] / "run.json").write_text(json.dumps(about))
    assert refused(two, {}) == "not all runs have a method in common; common: none"


def test_labels_on_the_command_line():
    assert parse_label("runs/a=b=LLaVA-1.5:7B") == ("runs/a=b", Label("LLaVA-1.5", "7B"))
    assert parse_label("a=LLaVA:7B:mine") == ("a", Label("LLaVA", "7B", "mine"))
    for text in ("a", "a=LLaVA", "=LLaVA:7B", "a=:7B", "a=x:y:z:w"):
        with pytest.raises(InputError, match=r"expected RUN=ARCHITECTURE:SCALE or"):
            parse_label(text)


def test_verdicts_on_the_command_line():
    assert parse_verdicts("runs/a=b=v.csv") == ("runs/a=b", Path("v.csv"))
    for text in ("v.csv", "=v.csv", "a="):
        with pytest.raises(InputError) as error:
            parse_verdicts(text)
        assert str(error.value) == f"verdicts {text!r}: expected RUN=FILE"


def test_labels_in_a_table(tmp_path):
    path = tmp_path / "models.csv"
    path.write_text("\ufeffrun,architecture,scale\na,LLaVA,7B\n", encoding="utf-8")
    assert read_labels(path) == {"a": Label("LLaVA", "7B")}
    path.write_text("run,scale\na,7B\n")
    with pytest.raises(InputError) as error:
        read_labels(path)
    assert str(error.value) == f"line 2 of {path}: expected a run, an architecture and a scale"
    with pytest.raises(InputError, match="cannot be read as a table of models"):
        read_labels(tmp_path / "none.csv")
