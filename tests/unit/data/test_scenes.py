"""Scenes: what is drawn is what is said, for every question kind, size and seed."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wherelook.data import scenes
from wherelook.data.scenes import Scene, SceneObject, make_scene, read_scenes, write_scenes
from wherelook.data.scenes.facts import NUMBER_WORDS
from wherelook.data.scenes.render import OUTLINES, PALETTE, render
from wherelook.errors import InputError, WherelookError

SIZES = [(224, 224), (128, 128), (160, 256), (300, 150), (64, 64)]


@pytest.fixture(scope="module")
def many() -> list[Scene]:
    return [make_scene(seed, size=SIZES[seed % len(SIZES)]) for seed in range(200)]


def named(scene: Scene, phrase: str) -> list[int]:
    """The objects that a phrase such as "large red star" or "red objects" fits, by reading it word by word."""
    words = phrase.replace("crosses", "cross").split()
    words[-1] = words[-1].removesuffix("s") if words[-1] != "cross" else "cross"
    fitting = []
    for index, item in enumerate(scene.objects):
        known = {item.size, item.color, item.shape, "object"}
        if all(word in known for word in words):
            fitting.append(index)
    return fitting


def test_same_seed_same_bytes_other_seed_other_bytes() -> None:
    first, again, other = make_scene(3), make_scene(3), make_scene(4)
    assert first.image.tobytes() == again.image.tobytes()
    assert np.array_equal(first.object_masks, again.object_masks)
    assert [q.text for q in first.questions] == [q.text for q in again.questions]
    assert first.image.tobytes() != other.image.tobytes()


def test_the_same_scene_can_be_had_at_several_resolutions() -> None:
    small, large = make_scene(11, size=(128, 128)), make_scene(11, size=(512, 512))
    assert small.objects == large.objects
    assert [(q.text, q.answer) for q in small.questions] == [(q.text, q.answer) for q in large.questions]
    shrunk = np.asarray(large.image.resize((128, 128), Image.Resampling.BOX), dtype=float)
    inside = small.object_masks.any(axis=0)
    assert np.abs(shrunk - np.asarray(small.image))[inside].mean() < 12  # noise and edge pixels alone differ


def test_the_seed_ranges_share_no_seed() -> None:
    ranges = [scenes.TRAINING_SEEDS, scenes.TUNING_SEEDS, scenes.REPORTING_SEEDS]
    ends = sorted((r.start, r.stop) for r in ranges)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(ends))


def test_objects_number_3_to_6_differ_and_have_a_near_twin(many: list[Scene]) -> None:
    assert {len(scene.objects) for scene in many} == {3, 4, 5, 6}
    for scene in many:
        attributes = [item.attributes() for item in scene.objects]
        assert len(set(attributes)) == len(attributes)
        differences = [
            sum(a != b for a, b in zip(attributes[i], attributes[j], strict=True))
            for i in range(len(attributes))
            for j in range(i)
        ]
        assert 1 in differences


def test_objects_lie_inside_the_image_and_do_not_touch(many: list[Scene]) -> None:
    for scene in many:
        masks = scene.object_masks
        assert masks.sum(axis=0).max() == 1
        assert not masks[:, [0, -1], :].any()
        assert not masks[:, :, [0, -1]].any()
        assert masks.reshape(len(masks), -1).sum(axis=1).min() > 15


def test_pixels_under_a_mask_have_the_color_that_is_said(many: list[Scene]) -> None:
    names = list(PALETTE)
    palette = np.array([PALETTE[name] for name in names])
    for scene in many:
        if min(scene.image.size) < 128:
            continue
        pixels = np.asarray(scene.image) / 255.0
        for item, mask in zip(scene.objects, scene.object_masks, strict=True):
            seen = np.median(pixels[mask], axis=0)
            assert names[int(np.abs(palette - seen).sum(axis=1).argmin())] == item.color


@pytest.mark.parametrize("shape", scenes.SHAPES)
def test_outlines_are_filled_and_stay_within_their_radius(shape: str) -> None:
    y, x = np.mgrid[-1.5:1.5:301j, -1.5:1.5:301j].astype(np.float32)
    inside = OUTLINES[shape](x, y) < 0
    assert inside[150, 150]
    assert np.hypot(x, y)[inside].max() < 1.07
    assert 0.25 < inside.mean() * 9 / np.pi < 0.85  # share of the disc of radius 1
    assert np.array_equal(inside, inside[:, ::-1])  # all shapes are symmetric about the vertical


def test_edges_are_anti_aliased() -> None:
    item = SceneObject("circle", "black", "large", (0.5, 0.5), 0.14, 0.0)
    image, masks = render(np.random.default_rng(0), [item], (64, 64))
    edge = masks[0] ^ np.roll(masks[0], 1, axis=1)
    values = image.mean(axis=2)[edge]
    assert np.std(values) > 5  # neither all inside nor all outside: fractions of both


def test_large_and_small_are_far_apart(many: list[Scene]) -> None:
    radii = defaultdict(list)
    for scene in many:
        for item in scene.objects:
            radii[item.size].append(item.radius)
    assert min(radii["large"]) > 1.4 * max(radii["small"])


def test_every_kind_is_asked_with_unique_texts_per_scene(many: list[Scene]) -> None:
    counts = Counter(question.kind for scene in many for question in scene.questions)
    assert set(counts) == set(scenes.KINDS) - {"category"}
    assert min(counts.values()) > 80
    for scene in many:
        texts = [question.text for question in scene.questions]
        assert len(set(texts)) == len(texts)


def test_attribute_answers_follow_from_the_object_that_the_question_names(many: list[Scene]) -> None:
    pattern = re.compile(r"What (color|shape|size) is the (.+)\?")
    for scene in many:
        for question in scene.questions:
            if question.kind not in ("color", "shape", "size"):
                continue
            attribute, phrase = pattern.fullmatch(question.text).groups()
            assert attribute == question.kind
            (index,) = named(scene, phrase)
            assert question.evidence_objects == (index,)
            assert question.answer.endswith(f" {getattr(scene.objects[index], attribute)}.")
            assert question.answer.startswith(f"The {phrase} is ")


def test_a_paraphrase_names_the_same_object_otherwise_and_not_by_what_is_asked(many: list[Scene]) -> None:
    pattern = re.compile(r"(What (?:color|shape|size) is|What is (?:left of|right of|above|below)) the (.+)\?")
    found = Counter()
    for scene in many:
        for question in scene.questions:
            if question.paraphrase is None:
                continue
            found[question.kind] += 1
            start, phrase = pattern.fullmatch(question.text).groups()
            other_start, other = pattern.fullmatch(question.paraphrase).groups()
            assert start == other_start
            assert phrase != other
            assert len(named(scene, other)) == 1
            assert named(scene, phrase) == named(scene, other)
            if question.kind != "relation":
                assert getattr(scene.objects[question.evidence_objects[0]], question.kind) not in other.split()
    assert set(found) == {"color", "shape", "size", "relation"}
    assert min(found.values()) > 40


def test_scenes_are_the_ones_that_were_published() -> None:
    """A change here gives every seed another scene: raise SCENES_VERSION, and train and measure everything again."""
    told = [
        (scene.objects, [(q.kind, q.text, q.answer, q.evidence_objects, q.exclusive) for q in scene.questions])
        for scene in (make_scene(seed, size=(64, 64)) for seed in range(40))
    ]
    assert hashlib.sha256(repr(told).encode()).hexdigest().startswith("72618cedf1152a9e")


def test_existence_and_counts_are_true(many: list[Scene]) -> None:
    for scene in many:
        for question in scene.questions:
            if question.kind == "existence":
                phrase = re.fullmatch(r"Is there an? (.+)\?", question.text).group(1)
                found = named(scene, phrase)
                assert question.answer.startswith("Yes, there is a" if found else "No, there is no ")
                assert question.answer.endswith(f" {phrase}.")
            elif question.kind == "count":
                phrase = re.fullmatch(r"How many (.+) are there\?", question.text).group(1)
                found = named(scene, phrase)
                assert f" {NUMBER_WORDS[len(found)]} " in question.answer
            else:
                continue
            assert sorted(question.evidence_objects) == found


def test_yes_and_no_are_equally_frequent() -> None:
    answers = [
        question.answer.startswith("Yes")
        for seed in range(400)
        for question in make_scene(seed, size=(64, 64), budget={"existence": 3}).questions
    ]
    assert abs(np.mean(answers) - 0.5) < 0.05


def test_relations_can_mean_one_object_only(many: list[Scene]) -> None:
    pattern = re.compile(r"What is (left of|right of|above|below) the (.+)\?")
    for scene in many:
        centers = np.array([np.argwhere(mask).mean(axis=0) for mask in scene.object_masks])
        for question in (question for question in scene.questions if question.kind == "relation"):
            direction, phrase = pattern.fullmatch(question.text).groups()
            (reference,) = named(scene, phrase)
            (target,) = question.evidence_objects
            item = scene.objects[target]
            article = "An" if item.color == "orange" else "A"
            assert question.answer == f"{article} {item.color} {item.shape} is {direction} the {phrase}."
            down, right = (centers - centers[reference]).T
            along = {"left of": -right, "right of": right, "above": -down, "below": down}[direction]
            aside = np.abs(right if direction in ("above", "below") else down)
            # With the drawn masks' own centroids: the target within 45 degrees of the direction, no other one is.
            assert [i for i in range(len(centers)) if along[i] > aside[i]] == [target]


def test_descriptions_name_the_outermost_objects(many: list[Scene]) -> None:
    for scene in many:
        for question in (question for question in scene.questions if question.kind == "description"):
            centers = [np.argwhere(mask)[:, 1].mean() for mask in scene.object_masks]
            first, last = int(np.argmin(centers)), int(np.argmax(centers))
            assert question.evidence_objects == (first, last)
            words = question.answer.lower()
            left, right = (f"{scene.objects[i].color} {scene.objects[i].shape}" for i in (first, last))
            assert f" {left} is on the left and a" in words
            assert words.endswith(f" {right} is on the right.")


def test_evidence_masks_are_the_masks_of_the_evidence_objects(many: list[Scene]) -> None:
    for scene in many:
        for question in scene.questions:
            assert question.evidence.dtype == bool
            assert question.evidence.shape == scene.image.size[::-1]
            expected = scene.object_masks[list(question.evidence_objects)].sum(axis=0) > 0
            assert np.array_equal(question.evidence, expected)
            assert question.needs_image == (question.kind != "fact")


def test_facts_are_many_unique_and_answered_in_sentences() -> None:
    pairs = scenes.facts()
    assert len(pairs) >= 150
    assert len({question for question, _ in pairs}) == len(pairs)
    known = dict(pairs)
    assert known["How many sides does a triangle have?"] == "A triangle has three sides."
    assert known["Is a circle round?"] == "Yes, a circle is round."
    assert known["What color do you get when you mix red and yellow?"] == "Red and yellow make orange."
    assert known["What is two plus three?"] == "Two plus three is five."
    assert all(answer[0].isupper() and answer.endswith(".") and len(answer.split()) >= 3 for _, answer in pairs)


def test_a_box_holds_its_mask_tightly() -> None:
    scene = make_scene(5, size=(160, 256))
    x0, y0, x1, y1 = scene.box((0, 1))
    mask = scene.object_masks[:2].any(axis=0)
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert all(edge.any() for edge in (mask[y0], mask[y1 - 1], mask[:, x0], mask[:, x1 - 1]))
    assert scene.box(()) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "at least 0, not -1"),
        ({"seed": 0, "size": (32, 32)}, "64 to 4096"),
        ({"seed": 0, "size": (100, 300)}, "2 times"),
        ({"seed": 0, "size": (9000, 9000)}, "64 to 4096"),
        ({"seed": 0, "budget": {"weather": 1}}, "unknown kind of question 'weather'; valid: color"),
        ({"seed": 0, "budget": {"color": 1}, "world": "things"}, "unknown kind of question 'color'; valid: size"),
        ({"seed": 0, "world": "words"}, "unknown world 'words'; valid: shapes, things"),
    ],
)
def test_bad_scene_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_scene(**arguments)


def test_written_scenes_come_back_exactly(tmp_path: Path) -> None:
    written = write_scenes(tmp_path / "out", n=3, seed=7, size=(96, 128))
    read = list(read_scenes(tmp_path / "out"))
    assert read == written
    originals = [make_scene(seed, size=(96, 128)) for seed in (7, 8, 9)]
    questions = [(scene, question) for scene in originals for question in scene.questions]
    assert len(questions) == len(read)
    for (scene, question), record in zip(questions, read, strict=True):
        assert (record.question, record.answer, record.seed) == (question.text, question.answer, scene.seed)
        assert record.paraphrase == question.paraphrase
        assert (record.evidence is not None) == question.evidence.any()
        if record.evidence is not None:
            with Image.open(tmp_path / "out" / record.evidence) as mask:
                assert np.array_equal(np.asarray(mask), question.evidence)
        assert record.box == scene.box(question.evidence_objects)
        with Image.open(tmp_path / "out" / record.image) as image:
            assert image.tobytes() == scene.image.tobytes()
        if record.evidence:
            with Image.open(tmp_path / "out" / record.evidence) as mask:
                assert mask.mode == "1"
    assert "seeds 7 to 9" in (tmp_path / "out" / "README.md").read_text()


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_scenes(tmp_path / name, n=2, seed=1, size=(64, 64))
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) > 10
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)


def test_writing_reports_progress(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    write_scenes(tmp_path / "out", n=2, size=(64, 64), progress=lambda *state: seen.append(state))
    assert seen == [("scenes", 1, 2), ("scenes", 2, 2)]


def test_writing_refuses_bad_numbers_and_full_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1, not 0"):
        write_scenes(tmp_path / "out", n=0)
    with pytest.raises(InputError, match="at least 0, not -1"):
        write_scenes(tmp_path / "out", n=1, seed=-1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        write_scenes(tmp_path / "full", n=1)
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
    assert not (tmp_path / "out").exists()


def test_reading_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"questions\.jsonl is missing"):
        list(read_scenes(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": "../secret.png"}, "not a file inside the folder"),
        ({"image": "/etc/passwd"}, "not a file inside the folder"),
        ({"image": "images/none.png"}, "not a file inside the folder"),
        ({"evidence": "../secret.png"}, "not a file inside the folder"),
        ({"evidence": 3}, "evidence must be text"),
        ({"question": 3}, "question must be text"),
        ({"width": "wide"}, "width must be a whole number"),
        ({"paraphrase": 3}, "paraphrase must be text"),
        ({"paraphrase": " "}, "the paraphrase is empty"),
        ({"width": True}, "width must be a whole number"),
        ({"exclusive": "false"}, "exclusive must be true or false"),
        ({"needs_image": 1}, "needs_image must be true or false"),
        ({"box": 5}, "box must be four numbers"),
        ({"box": [1, 2, 3]}, "box must be four numbers"),
        ({"box": [[1, 2, 3, 4], [1, 2, 3, 4]]}, "box must be four numbers"),
        ({"answer": "\ud800"}, "answer is no text that can be written as UTF-8"),
        ({"extra": 1}, "exactly the fields"),
    ],
)
def test_reading_refuses_broken_and_hostile_lines(tmp_path: Path, change: dict, message: str) -> None:
    folder = tmp_path / "out"
    write_scenes(folder, n=1, size=(64, 64))
    (tmp_path / "secret.png").write_bytes(b"")
    lines = (folder / "questions.jsonl").read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), **change})
    (folder / "questions.jsonl").write_text("\n".join(lines))
    with pytest.raises(WherelookError, match=f"line 2: .*{message}"):
        list(read_scenes(folder))


def test_a_folder_from_before_there_were_paraphrases_is_read(tmp_path: Path) -> None:
    written = write_scenes(tmp_path, n=1, size=(64, 64))
    path = tmp_path / "questions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("\n".join(json.dumps({k: v for k, v in line.items() if k != "paraphrase"}) for line in lines))
    assert list(read_scenes(tmp_path)) == [replace(record, paraphrase=None) for record in written]


def test_reading_refuses_what_is_not_json(tmp_path: Path) -> None:
    write_scenes(tmp_path / "out", n=1, size=(64, 64))
    (tmp_path / "out" / "questions.jsonl").write_text("{")
    with pytest.raises(WherelookError, match="line 1: not a line of JSON"):
        list(read_scenes(tmp_path / "out"))


def test_the_demo_asks_what_its_scene_can_answer() -> None:
    scene = make_scene(scenes.DEMO_SEED, size=(448, 448), world="things")
    known = {question.text for question in scene.questions} | {question for question, _ in scenes.facts()}
    assert set(scenes.DEMO_QUESTIONS.values()) <= known


def test_the_disk_is_waited_for_twice_however_many_images_there_are(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", synced.append)
    write_scenes(tmp_path, n=3, size=(64, 64))
    assert len(synced) == 2  # the card and the questions
