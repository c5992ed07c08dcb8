"""Mosaics of photographs: what is where, and questions whose answers follow from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wherelook.data.datasets import read_samples
from wherelook.data.scenes import LAYOUTS, Mosaic, make_mosaic, mosaics, read_photographs, read_scenes, write_scenes
from wherelook.data.scenes.panels import ASKERS
from wherelook.data.scenes.photographs import BOXES_FILE, Noun, Photograph, everyday, main_color
from wherelook.data.scenes.questions import with_article
from wherelook.errors import InputError, WherelookError
from wherelook.evaluation.judges import judge_answer

SHADES = {
    "dog": (200, 40, 40), "cat": (40, 200, 40), "owl": (40, 40, 200), "bus": (200, 200, 40), "apple": (40, 200, 200),
    "jeans": (200, 40, 200), "bread": (120, 120, 120), "bell": (20, 20, 20),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs of one shade each, so that every pixel of a mosaic tells whose it is."""
    root = tmp_path_factory.mktemp("photographs")
    for name, shade in SHADES.items():
        Image.new("RGB", (90, 70), shade).save(root / f"{name}_001.png")
    return root


@pytest.fixture(scope="module")
def made(folder: Path) -> list[Mosaic]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mosaics, "COLORED_SHARE", 0.0)
        patch.setattr(mosaics, "TINTED_SHARE", 0.0)
        photographs = read_photographs(folder)
        return [make_mosaic(photographs, seed, size=(96, 128)) for seed in range(120)]


def test_the_table_names_a_thousand_classes_in_everyday_words() -> None:
    nouns = everyday()
    assert len(nouns) == 1000
    assert nouns["n02088364"].name == "dog"
    assert nouns["n02088364"].kind == "beagle"
    assert nouns["n01622779"].fits("bird")  # an owl is one
    assert nouns["n01622779"].name == "owl"
    held_out = [noun for noun in nouns.values() if noun.held_out]
    trained = {noun.name for noun in nouns.values() if not noun.held_out}
    assert 95 <= len(held_out) <= 110
    assert {noun.name for noun in held_out} <= trained


@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        ("n02088364_beagle.jpg", "dog", "beagle"),
        ("n02088364.png", "dog", "beagle"),
        ("n99999999_red_kite.jpg", "red kite", ""),
        ("traffic_light_003.webp", "traffic light", ""),
        ("fire engine/a.jpg", "fire engine", ""),
        ("n02088364/0001.jpg", "dog", "beagle"),
        ("007.jpg", "007", ""),
    ],
)
def test_a_file_or_its_folder_names_what_it_shows(file: str, name: str, kind: str, tmp_path: Path) -> None:
    for path in (tmp_path / file, tmp_path / "other.jpg"):
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    (photograph,) = [one for one in read_photographs(tmp_path) if one.path == tmp_path / file]
    assert (photograph.noun.name, photograph.noun.kind) == (name, kind)


@pytest.mark.parametrize(
    ("phrase", "form", "written"),
    [
        ("dog", "", "a dog"), ("owl", "", "an owl"), ("unicycle", "", "a unicycle"), ("umbrella", "", "an umbrella"),
        ("bread", "mass", "bread"), ("jeans", "plural", "jeans"),
    ],
)  # fmt: skip
def test_articles(phrase: str, form: str, written: str) -> None:
    assert with_article(phrase, form) == written


@pytest.mark.parametrize(
    ("shade", "color"),
    [
        ((220, 20, 20), "red"), ((240, 140, 20), "orange"), ((240, 230, 40), "yellow"), ((30, 180, 40), "green"),
        ((30, 60, 210), "blue"), ((130, 30, 200), "purple"), ((250, 120, 200), "pink"), ((100, 60, 20), "brown"),
        ((10, 10, 10), "black"), ((250, 250, 250), "white"), ((128, 128, 128), "gray"),
    ],
)  # fmt: skip
def test_plain_colors_are_called_by_their_names(shade: tuple[int, int, int], color: str) -> None:
    image = Image.new("RGB", (40, 40), shade)
    assert main_color(image) == color
    image.paste(Image.new("RGB", (20, 40), (30, 180, 40) if color != "green" else (220, 20, 20)))
    assert main_color(image) is None


def test_the_same_seed_gives_the_same_pixels_and_questions(folder: Path) -> None:
    first, again, other = (make_mosaic(read_photographs(folder), seed) for seed in (5, 5, 6))
    assert first.image.tobytes() == again.image.tobytes() != other.image.tobytes()
    assert [question.text for question in first.questions] == [question.text for question in again.questions]


def test_every_layout_and_kind_of_question_occurs(made: list[Mosaic]) -> None:
    assert {tuple(panel.place for panel in mosaic.panels) for mosaic in made} == {
        tuple(place for place, _ in places) for places in LAYOUTS.values()
    }
    assert {question.kind for mosaic in made for question in mosaic.questions} == {
        "name", "existence", "where", "count", "relation", "color", "description", "fact",
    }  # fmt: skip


def test_a_panel_holds_its_photograph_and_nothing_else(made: list[Mosaic]) -> None:
    for mosaic in made:
        pixels = np.asarray(mosaic.image)
        for panel in mosaic.panels:
            x0, y0, x1, y1 = panel.box
            assert np.abs(pixels[y0:y1, x0:x1].astype(int) - SHADES[panel.noun.name]).max() <= 2


def test_the_evidence_is_the_panels_that_the_answer_is_about(made: list[Mosaic]) -> None:
    for mosaic in made:
        for question in mosaic.questions:
            pixels = np.asarray(mosaic.image)[question.evidence]
            wanted = [SHADES[mosaic.panels[index].noun.name] for index in question.evidence_objects]
            shades = [divmod(shade, 256) for shade in np.unique(pixels.astype(int) @ (65536, 256, 1)).tolist()]
            assert len(shades) == len(set(wanted))
            for rest, blue in shades:
                assert min(np.abs(np.subtract((*divmod(rest, 256), blue), one)).max() for one in wanted) <= 2
            if question.kind in ("name", "relation"):
                (index,) = question.evidence_objects
                assert mosaic.panels[index].noun.names() in question.right


def test_yes_no_and_counts_are_true(made: list[Mosaic]) -> None:
    seen = set()
    for mosaic in made:
        names = [panel.noun.name for panel in mosaic.panels]
        for question in mosaic.questions:
            if question.kind == "existence":
                asked = question.text.removesuffix(" in the picture?").split()[-1]
                assert question.right == (("yes" if asked in names else "no",),)
                seen.add(question.right)
            if question.kind == "count" and "show" in question.text:
                asked = question.text.removesuffix("?").split()[-1]
                count = names.count(asked)
                assert question.right == ((("zero", "one", "two", "three", "four")[count], str(count)),)
    assert len(seen) == 2


def test_relations_hold_and_only_where_both_are_there_once(made: list[Mosaic]) -> None:
    for mosaic in made:
        names = [panel.noun.name for panel in mosaic.panels]
        for question in mosaic.questions:
            if question.kind == "relation":
                direction, known = question.text.removeprefix("What is ").removesuffix("?").split(" the ")
                origin = mosaic.panels[names.index(known)]
                (target,) = (mosaic.panels[index] for index in question.evidence_objects)
                assert names.count(known) == names.count(target.noun.name) == 1
                x, y = (np.add(target.box[:2], target.box[2:]) - np.add(origin.box[:2], origin.box[2:])).tolist()
                assert {"left of": x < 0, "right of": x > 0, "above": y < 0, "below": y > 0}[direction]


def test_places_colors_and_descriptions_are_true(made: list[Mosaic]) -> None:
    told = set()
    for mosaic in made:
        panels = {panel.noun.name: panel for panel in mosaic.panels}
        for question in mosaic.questions:
            if question.kind == "where":
                place = panels[question.text.removesuffix("?").split()[-1]].place
                assert question.answer.endswith(f" {place}.")
                assert question.right[0][0] == place.split("the ")[1]
            if question.kind == "color":
                assert {main_color(mosaic.image.crop(mosaic.panels[i].box)) for i in question.evidence_objects} == {
                    question.right[0][0]
                }
            if question.kind == "description":
                assert [names[0] for names in question.right] == [panel.noun.name for panel in mosaic.panels]
                assert all(panel.noun.name in question.answer.lower() for panel in mosaic.panels)
            told.add(question.kind)
    assert {"where", "color", "description"} <= told


def test_the_kind_is_asked_of_what_has_one(tmp_path: Path) -> None:
    for name in ("n02088364_beagle", "n01440764_tench"):
        Image.new("RGB", (70, 70)).save(tmp_path / f"{name}.jpg")
    asked = make_mosaic(read_photographs(tmp_path), 1, layout="beside", budget={"kind": 3}).questions
    told = {(question.text.split(" is ")[0], question.answer) for question in asked}
    assert ("What kind of dog", "It is a beagle.") in told or ("What kind of fish", "It is a tench.") in told
    for question in asked:
        assert question.right[0][0] in question.answer


@pytest.mark.parametrize(
    ("file", "form", "above"),
    [("jeans_1", "plural", ()), ("Bread", "mass", ("food",)), ("Owl", "", ("bird",)), ("beagle", "", ("dog",))],
)
def test_what_is_known_of_a_name_does_not_need_a_wordnet_id(
    file: str, form: str, above: tuple[str, ...], tmp_path: Path
) -> None:
    for name in (file, "zebra crossing"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.png")
    (noun,) = (one.noun for one in read_photographs(tmp_path) if one.path.stem == file)
    assert (noun.name, noun.form) == (file.removesuffix("_1").lower(), form)
    assert set(above) <= set(noun.above)


def test_a_photograph_is_read_as_every_other_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.new("RGB", (40, 20), (9, 9, 9)).save(tmp_path / "dog.jpg", exif=exif)
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "cat.png")
    cat, dog = read_photographs(tmp_path)
    assert dog.load().size == (20, 40)
    assert cat.load().getpixel((3, 3)) == (255, 255, 255)


def test_hidden_files_are_no_photographs(folder: Path, tmp_path: Path) -> None:
    for name in ("dog.png", "cat.png", "._dog.png", ".checkpoints/dog.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert [photograph.path.name for photograph in read_photographs(tmp_path)] == ["cat.png", "dog.png"]


def test_nothing_is_taken_for_absent_that_a_wider_or_narrower_name_shows(tmp_path: Path) -> None:
    """An owl is a bird: neither is asked for in vain where the other is."""
    Image.new("RGB", (8, 8)).save(tmp_path / "owl.png")
    owl, bird = Noun("owl", above=("bird",)), Noun("bird")
    for shown, absent in ((owl, bird), (bird, owl)):
        mosaic = make_mosaic(
            [Photograph(tmp_path / "owl.png", shown)], 3, layout="alone", budget={"existence": 9}, absent=[absent]
        )
        assert {question.right for question in mosaic.questions} == {(("yes",),)}


def test_a_photograph_with_boxes_is_shown_alone_with_its_things(folder: Path, tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "street.jpg")
    boxes = [{"name": "dog", "box": [10, 20, 60, 90]}, {"name": "n02088364", "box": [150, 30, 190, 80]}]
    (tmp_path / BOXES_FILE).write_text(json.dumps({"image": "street.jpg", "boxes": boxes}))
    mosaic = make_mosaic(read_photographs(tmp_path), 0, size=(70, 100), budget={"name": 5, "where": 5})
    assert mosaic.image.size == (100, 50)
    assert [(panel.place, panel.box) for panel in mosaic.panels] == [
        ("on the left", (5, 10, 30, 45)), ("on the right", (75, 15, 95, 40)),
    ]  # fmt: skip
    assert [question.kind for question in mosaic.questions].count("where") == 0  # two dogs
    names = [question for question in mosaic.questions if question.kind == "name"]
    assert {question.right[0] for question in names} == {("dog",), everyday()["n02088364"].names()}
    for question in names:
        x0, y0, x1, y1 = mosaic.panels[question.evidence_objects[0]].box
        assert question.evidence.sum() == question.evidence[y0:y1, x0:x1].sum() == (y1 - y0) * (x1 - x0)


def boxed(root: Path, boxes: list[dict[str, object]], name: str = "street.jpg", bom: str = "") -> list[Photograph]:
    """A folder of one photograph with boxes."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (200, 100)).save(root / name)
    (root / BOXES_FILE).write_text(bom + json.dumps({"image": name, "boxes": boxes}) + "\n\n")
    return read_photographs(root)


def test_of_things_in_a_photograph_nobody_knows_how_many_there_are(tmp_path: Path) -> None:
    """Nor are they at the top and at the bottom, and of two things on the right none is the one."""
    places = ((0, 40, 20, 60), (60, 40, 80, 60), (120, 40, 140, 60), (180, 40, 199, 60))
    things = [{"name": name, "box": box} for name, box in zip(("dog", "cat", "owl", "bus"), places, strict=True)]
    mosaic = make_mosaic(boxed(tmp_path, things), 0, budget=dict.fromkeys(ASKERS, 20))
    asked = {question.text for question in mosaic.questions}
    assert not {question.kind for question in mosaic.questions} & {"count", "description"}
    assert "What is right of the owl?" in asked
    assert "What is left of the cat?" in asked
    assert not {"What is right of the dog?", "What is right of the cat?", "What is left of the bus?"} & asked


def test_as_many_boxes_as_there_are(tmp_path: Path) -> None:
    things = [{"name": f"thing {index}", "box": [10 * index, 0, 10 * index + 9, 99]} for index in range(20)]
    mosaic = make_mosaic(boxed(tmp_path, things, "deep/down/a.bmp", bom="\ufeff"), 0)
    assert len(mosaic.panels) == 20
    assert mosaic.questions


def test_a_box_keeps_a_pixel_when_the_photograph_shrinks_and_its_name_as_it_is(tmp_path: Path) -> None:
    Image.new("RGB", (6400, 3200)).save(tmp_path / "a.png")
    box = {"name": "Boeing 747", "box": [6398.5, 3198.5, 6400, 3200]}
    (tmp_path / BOXES_FILE).write_text(json.dumps({"image": "a.png", "boxes": [box]}))
    (panel,) = make_mosaic(read_photographs(tmp_path), 0, size=(64, 64)).panels
    assert (panel.noun.name, panel.box) == ("Boeing 747", (63, 31, 64, 32))


@pytest.mark.parametrize("box", [[300, 20, 400, 90], [150, 20, 350, 90]])
def test_a_box_beside_the_photograph_is_refused(box: list[int], tmp_path: Path) -> None:
    photographs = boxed(tmp_path, [{"name": "dog", "box": box}])
    with pytest.raises(InputError, match=r"box .* of 'dog' does not lie on its 100 x 200 pixels"):
        make_mosaic(photographs, 0)


@pytest.mark.parametrize(
    "line",
    [
        "[1]", "{", '{"image": "a.jpg"}', '{"image": "missing.jpg", "boxes": []}', '{"image": "../a.jpg", "boxes": []}',
        '{"image": "a.jpg", "boxes": [{"name": "dog", "box": [5, 5, 5, 9]}]}',
        '{"image": "a.jpg", "boxes": [{"name": "dog", "box": [1, 2, 3]}]}',
        '{"image": "a.jpg", "boxes": [{"name": "dog", "box": "1234"}]}', '{"image": "a.jpg", "boxes": []}',
        '{"image": "a.jpg", "boxes": [{"name": "", "box": [1, 2, 3, 4]}]}',
        '{"image": "a.jpg", "boxes": [{"name": null, "box": [1, 2, 3, 4]}]}',
        '{"image": "a.jpg", "boxes": [{"name": "\\ud800", "box": [1, 2, 3, 4]}]}',
        '{"image": "a.jpg", "boxes": [{"name": "dog", "box": [0, 0, 1e999, 5]}]}',
        '{"image": "a.jpg", "boxes": [{"name": "dog", "box": [0, 0, 1' + "0" * 400 + ', 5]}]}',
        '{"image": "a.jpg", "boxes": [{"name": "dog", "box": [[1, 2, 3, 4], [1, 2, 3, 4]]}]}',
        '{"image": "a.jpg", "boxes": {"name": "dog", "box": [1, 2, 3, 4]}}',
    ],
)  # fmt: skip
def test_broken_boxes_are_refused_with_their_line(line: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    (tmp_path / BOXES_FILE).write_text(line)
    with pytest.raises(WherelookError, match=rf"{BOXES_FILE}, line 1"):
        read_photographs(tmp_path)


def test_what_cannot_be_a_mosaic_is_refused(folder: Path, tmp_path: Path) -> None:
    photographs = read_photographs(folder)
    with pytest.raises(InputError, match="no folder of photographs"):
        read_photographs(tmp_path / "missing")
    with pytest.raises(InputError, match="at least two things"):
        read_photographs(tmp_path)
    with pytest.raises(InputError, match="at least 0"):
        make_mosaic(photographs, -1)
    with pytest.raises(InputError, match="unknown layout 'ring'; valid: alone, beside, above, square"):
        make_mosaic(photographs, 1, layout="ring")
    for name in ("dog.jpg", "cat.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(InputError, match=r"cat\.jpg' is not an image|dog\.jpg' is not an image"):
        make_mosaic(read_photographs(tmp_path), 1)
    with pytest.raises(InputError, match="a mosaic needs photographs"):
        make_mosaic([], 1)
    with pytest.raises(InputError, match="cannot be 0 x 0 pixels"):
        make_mosaic(photographs, 1, size=(0, 0))
    with pytest.raises(InputError, match="unknown kind of question 'naem'"):
        make_mosaic(photographs, 1, budget={"naem": 1})


def test_a_folder_of_mosaics_is_a_dataset_judged_by_names(folder: Path, tmp_path: Path) -> None:
    records = write_scenes(tmp_path / "out", n=6, size=(64, 64), world="photographs", photographs=folder)
    assert list(read_scenes(tmp_path / "out")) == records
    samples = {sample.id: sample for sample in read_samples(str(tmp_path / "out"))}
    asked = [record for record in records if record.kind == "name" and record.exclusive]
    assert asked
    for record in asked:
        sample, name = samples[record.id], record.right[0][0]
        assert judge_answer(f"I think it is a {name}.", sample).correct
        assert not judge_answer(f"I think it is a {name}fish.", sample).correct
    (tmp_path / "out" / "questions.jsonl").write_text(
        (tmp_path / "out" / "questions.jsonl").read_text().replace('"right": [[', '"right": [7, [', 1)
    )
    with pytest.raises(WherelookError, match="right must be lists of names"):
        list(read_scenes(tmp_path / "out"))


def test_the_world_and_the_folder_of_photographs_go_together(folder: Path, tmp_path: Path) -> None:
    for options in ({"world": "photographs"}, {"photographs": folder}):
        with pytest.raises(InputError, match="goes with the world 'photographs'"):
            write_scenes(tmp_path / "none", n=1, **options)
    assert not (tmp_path / "none").exists()


def test_kinds_of_questions_can_be_chosen_from_a_folder(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    records = {record.id: record for record in write_scenes(out, n=5, world="photographs", photographs=folder)}
    assert {sample.id for sample in read_samples(f"{out},kinds=all")} == set(records)
    chosen = {sample.id: sample for sample in read_samples(f"scenes:{out},kinds=existence+fact")}
    assert set(chosen) == {name for name, record in records.items() if record.kind in ("existence", "fact")}
    for name, sample in chosen.items():
        assert (sample.evidence is not None) == records[name].exclusive
        if records[name].kind == "existence":
            assert judge_answer(f"{records[name].right[0][0].title()}, I think so.", sample).correct
    with pytest.raises(InputError, match="a folder of scenes has the option kinds=A"):
        next(iter(read_samples(f"{out},images=x")))
    with pytest.raises(InputError, match=r"unknown kind of question 'existance'.*existence"):
        next(iter(read_samples(f"{out},kinds=fact+existance")))
    with pytest.raises(InputError, match="'scenes' without a folder has no options"):
        read_samples("scenes,kinds=all")
