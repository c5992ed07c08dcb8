from __future__ import annotations

import base64
import hashlib
import io
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from wherelook import html
from wherelook.explanation import TokenMap, command_line, figures, page
from wherelook.explanation.curves import plot_curves
from wherelook.metrics import METRICS
from wherelook.score import Token

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'\"` onmouseover=alert(1) x='",
    "</style></title><!-- <svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}{#",
    "javascript:alert(1)",
    "line\u2028para\u2029\u202ereversed\u202c\u2066isolated\u2069",
    "\u200f\u05e9\u05dc\u05d5\u05dd right to left\u200e",
    "lone \ud800 and \udcff",
    "null \x00 escape \x1b[31m",
)
VOID = {"meta", "link", "img", "br", "input", "hr"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; complains about tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def text(self) -> str:
        return " ".join("".join(d if tag not in ("style", "script") else "" for tag, d in self.texts).split())

    def find(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [a for name, a in self.elements if name == tag and all(a.get(k) == v for k, v in wanted.items())]


def decoded(uri: str) -> Image.Image:
    head, data = uri.split(",", 1)
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_page_says_what_the_explanation_holds(make_explanation):
    parsed = Page(make_explanation(notes=("first of 12 frames",)).to_html())
    text = parsed.text()
    for expected in (
        "The answer is visually grounded", "1 of 3 words is visually grounded", "Which one is it?",
        "first of 12 frames",
        "“green” depends strongly on the image.", "The image accounts for 99 % of its likelihood", "4.95 nats",
        "guarded (gap too small)", "0.312", "blur (seen)",
        "mean (unseen)", "blur, seen: area 0.350", "mean, unseen: area 0.588", "↓ lower", "↑ higher", "1.2 s", "123 MB",
        "guided-igos", "some/model", "a picture.png", "80, 15, 105, 35",
    ):  # fmt: skip
        assert expected in text, expected


def test_page_needs_no_network_and_allows_none(make_explanation, token_maps):
    html = make_explanation(token_maps=token_maps).to_html()
    assert "http://" not in html
    assert "https://" not in html
    assert "//" not in re.sub(r"base64,[A-Za-z0-9+/=]+|^\s*//.*$|;? //.*$", "", html, flags=re.MULTILINE)
    parsed = Page(html)
    assert not parsed.find("link")
    assert not parsed.find("iframe")
    for tag, attributes in parsed.elements:
        assert not any(name.startswith("on") for name in attributes), tag
        assert "style" not in attributes  # the policy refuses style attributes too
        for name in ("src", "href", "data-layer"):
            if attributes.get(name):
                assert attributes[name].startswith("data:image/"), (tag, name)


def test_policy_allows_exactly_the_inlined_style_and_script(make_explanation):
    html = make_explanation().to_html()
    (policy,) = Page(html).find("meta", **{"http-equiv": "Content-Security-Policy"})
    rules = dict(rule.strip().split(" ", 1) for rule in policy["content"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", ["to_html", "_repr_html_"])
def test_hostile_text_stays_text(make_explanation, text, form):
    def build(words: str):
        return make_explanation(
            question=words, answer=words, reason=words, notes=(words,),
            tokens=(Token(words, 1, -1.0, -3.0, 2.0, True, 0), Token(" " + words, 2, -1.0, -1.0, 0.0, False, 1)),
            token_maps=(TokenMap(0, np.eye(4, dtype=np.float32)),),
            model={"id": words, words: words}, path=words, sha256=words,
            versions={words: words}, metrics={words: 0.5, "deletion": None},
            reliance={"score": 0.5, "strongest_word": words, "baseline": words},
            config={"method": words, "settings": {words: words}},
            method={"parameters": {words: words}},
        )  # fmt: skip

    hostile, harmless = (getattr(build(words), form)() for words in (text, "harmless"))
    hostile.encode("utf-8")
    first, second = Page(hostile), Page(harmless)
    # The same elements with the same attributes: nothing that the text says has become markup.
    assert [(tag, list(a)) for tag, a in first.elements] == [(tag, list(a)) for tag, a in second.elements]
    for character in "\u2028\u2029\u202e\u202c\u2066\u2069\x00\x1b":
        assert character not in hostile
    if form == "to_html":
        assert " ".join(html.printable(text).split()) in first.text()


def test_same_explanation_same_bytes(make_explanation, token_maps):
    first, second = (make_explanation(token_maps=token_maps).to_html() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("status", ["not_visual", "weak_gap"])
@pytest.mark.parametrize("form", ["to_html", "_repr_html_"])
def test_without_focus_no_map_is_shown(make_explanation, status, form):
    explanation = make_explanation(status)
    parsed = Page(getattr(explanation, form)())
    text = parsed.text()
    assert "No focus region" in text
    assert "The answer is visually grounded" not in text
    pictures = [a.get("href") or a.get("src") for tag, a in parsed.elements if tag in ("img", "image")]
    shown = np.asarray(decoded(pictures[-1]).convert("RGB")).astype(int)
    assert (np.ptp(shown, axis=2) <= 6).all()  # gray: no false colors
    if form == "to_html":
        assert parsed.find("section", **{"class": f"banner {status}"})
        assert "Not measured: there is no map to replay." in text
        assert not parsed.find("path", **{"class": "contour"})
        assert not parsed.find("input", id="show-marks")


def test_shown_layer_is_the_map_at_the_sliders_opacity(make_explanation):
    parsed = Page(make_explanation().to_html())
    (slider,) = parsed.find("input", id="opacity")
    (layer,) = parsed.find("image", id="layer")
    assert float(layer["opacity"]) == int(slider["value"]) / 100
    values = np.asarray(decoded(layer["href"]).convert("RGBA"))
    assert values.shape[1] == page.LAYER_SIDE
    rows, columns = np.nonzero(values[..., 3] == 255)
    assert abs(rows.mean() / values.shape[0] - 7.5 / 28) < 0.02
    assert abs(columns.mean() / values.shape[1] - 21.5 / 28) < 0.02
    (stage,) = parsed.find("svg", id="stage")
    assert stage["viewbox"] == "0 0 120 90"
    assert stage["role"] == "img"


def test_original_pixels_are_on_the_page(make_explanation):
    explanation = make_explanation()
    (shown,) = Page(explanation.to_html()).find("image", **{"class": "photo"})
    assert np.array_equal(np.asarray(decoded(shown["href"])), explanation.pixels)


def test_tokens_are_buttons_with_shade_detail_and_map(make_explanation, token_maps):
    parsed = Page(make_explanation(token_maps=token_maps).to_html())
    tokens = [a for a in parsed.find("button") if (a["class"] or "").startswith("token")]
    assert [a["class"] for a in tokens] == [
        "token level0", "token up5 selected mapped", "token up1 selected mapped", "token down2", "token level0",
    ]  # fmt: skip
    assert "log-probability with the image -0.04, with the baseline -4.70; ratio +4.66 nats" in tokens[1][
        "title"
    ].replace(figures.MINUS, "-")
    layers = [a["data-layer"] for a in tokens if "data-layer" in a]
    assert len(set(layers)) == 2
    assert tokens[1]["data-contour"].startswith("M")
    assert parsed.find("button", id="whole")
    answer = "".join(data for tag, data in parsed.texts if tag in ("button", "div"))
    assert "The green one." in answer  # the tokens of a word touch, and spaces stay between words


def test_without_token_maps_there_is_nothing_to_choose(make_explanation):
    parsed = Page(make_explanation().to_html())
    assert not parsed.find("button", id="whole")
    assert not any("data-layer" in a for a in parsed.find("button"))


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.0, "hardly depends"),
        (0.17, "hardly depends"),
        (0.5, "depends slightly"),
        (0.7, "depends clearly"),
        (1.0, "depends strongly"),
    ],
)
def test_reliance_in_words(make_explanation, score, words):
    def text(status: str) -> str:
        explanation = make_explanation(status=status)
        return Page(replace(explanation, reliance=explanation.reliance | {"score": score}).to_html()).text()

    for status in ("ok", "weak_gap"):  # of the word with the largest drop, whichever words were selected
        assert f"“green” {words} on the image." in text(status)
    assert f"“green” {words}" not in text("not_visual")
    assert "No word of the answer is visually grounded." in text("not_visual")


@pytest.mark.parametrize(
    ("words", "gap", "status", "method", "headline", "panel"),
    [
        ((1,), 4.95, "ok", {}, "The answer is visually grounded", "largest part of any word of the answer."),
        ((1,), 4.95, "ok", {"tokens": "green"}, "The selected words depend on the image", "any word of the answer."),
        ((0,), 0.01, "weak_gap",
        {"tokens": "the"}, "No focus region: the selected words depend too little on the image",
         "any word of the answer. It is not among the selected words, which lose 0.01 nats."),
        ((0, 2), -0.89, "weak_gap", {"tokens": "the one"},
         "No focus region: the selected words get likelier without the image",
         "It is not among the selected words, which get likelier without the image, by 0.89 nats."),
        ((0, 2), -0.89, "weak_gap", {"tokens": "the one", "fallback": "occlusion"},
         "Heatmap by occlusion: the selected words get likelier without the image",
         "Rise0.89 nats without the image, the selected words together"),
        ((1, 2), -0.3, "weak_gap", {"tokens": "all"},
         "No focus region: the selected words get likelier without the image",
         "makes other selected words less likely: together they get likelier without it, by 0.30 nats."),
        ((0,), -0.004, "weak_gap", {"tokens": "the"}, "No focus region: the selected words depend too little",
         "Drop0.00 nats without the image, the selected words together"),
        ((0,), 0.01, "weak_gap", {"tokens": "the", "fallback": "occlusion"},
         "Heatmap by occlusion: the selected words depend too little on the whole image",
         "It is not among the selected"),
        ((1,), 4.95, "weak_gap", {}, "No focus region: the method found no region that the answer depends on",
         "largest part of any word of the answer."),
        ((1,), 4.95, "weak_gap", {"fallback": "occlusion"}, "Heatmap by occlusion: the method found no region", ""),
        ((1, 2), 0.1, "weak_gap",
        {"tokens": "all"}, "No focus region: the selected words depend too little on the image",
         "The image makes other selected words less likely: together they lose 0.10 nats."),
    ],
)  # fmt: skip
def test_banner_and_panel_never_contradict(make_explanation, words, gap, status, method, headline, panel):
    explanation = make_explanation(status=status)  # its words lose 0.01, 4.95 and -0.9 nats
    tokens = tuple(replace(token, selected=token.word in words) for token in explanation.tokens)
    explanation = replace(
        explanation,
        tokens=tokens,
        reliance=explanation.reliance | {"score": 0.99, "gap": gap},
        method=explanation.method | method,
        config=explanation.config | method,
    )
    text = Page(explanation.to_html()).text()
    assert headline in text
    assert panel in text
    assert "“green” depends strongly on the image." in text
    assert ("It is not among" in text) == (1 not in words)
    for other in ("The answer is visually grounded", "The answer as a whole", "rests"):
        assert other == headline or other not in text


def test_an_answer_without_words(make_explanation):
    explanation = make_explanation(status="not_visual", tokens=())
    nothing = {"words": 0, "relevant_words": 0, "strongest_word": None, "score": 0.0, "gap": 0.0}
    text = Page(replace(explanation, reliance=explanation.reliance | nothing).to_html()).text()
    assert "No focus region: the answer has no words" in text
    assert "a grounded word loses more than 1 nat, or 0.2" in text


def test_page_without_metrics_or_curves(make_explanation):
    text = Page(make_explanation(metrics={}, curves=()).to_html()).text()
    assert "Not measured: the replay was switched off." in text


def test_figures_are_told_as_the_registry_tells_them(make_explanation):
    text = Page(make_explanation(metrics={"insertion": 0.5, "insertion_unseen": 0.4, "mine": 2.0}).to_html()).text()
    assert METRICS["insertion"].label in text
    assert METRICS["insertion"].summary in text
    assert "mine" in text


def test_curves_end_where_their_scores_are(make_explanation):
    explanation = make_explanation()
    deletion, insertion = plot_curves(explanation.curves, explanation.metrics).values()
    (axes,) = deletion.axes
    seen, unseen = axes.lines
    assert list(zip(seen.get_xdata(), seen.get_ydata(), strict=True)) == [(0, 0.9), (0.5, 0.2), (1, 0.1)]
    assert (seen.get_linestyle(), unseen.get_linestyle()) == ("-", "--")
    assert axes.get_ylim()[1] > 1
    labels = [line.get_label() for line in insertion.axes[0].lines]
    assert labels[0].startswith("blur, seen: area 0.650 (a perfect map: ")
    assert labels[1].startswith("mean, unseen: area 0.588 (a perfect map: ")
    assert plot_curves((), {}) == {}


def test_command_is_the_explanation_again(make_explanation, token_maps):
    explanation = make_explanation(
        question='What\'s "this"? $(rm -rf ~) `x` \\',
        path="it's here/é.png",
        token_maps=token_maps,
        config={
            "method": "guided-igos",
            "preset": "fast",
            "seed": 3,
            "settings": {"cells": 14},
            "answer": "The green one.",
            "per_token": True,
            "alpha": 1.0,
        },
    )
    words = shlex.split(" ".join(command_line.words(explanation)))
    assert words == [
        "wherelook", "explain", "--model", "some/model", "--dtype", "float32", "--method", "guided-igos",
        "--set", "cells=14",
        "--answer", "The green one.", "--preset", "fast", "--alpha", "1.0", "--seed", "3", "--per-token",
        "it's here/é.png", "What's \"this\"? $(rm -rf ~) `x` \\",
    ]  # fmt: skip


def test_command_protects_what_looks_like_an_option(make_explanation):
    words = command_line.words(make_explanation(question="--help"))
    assert words[-3:] == ["--", "'a picture.png'", "--help"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("text", [text.replace("\x00", "").replace("\ud800", "") for text in HOSTILE])
def test_quoted_words_come_back_from_the_shell(text):
    quoted = command_line.shell_quote(text)
    assert quoted.isprintable()
    command = f"printf %s {quoted}".encode()
    output = subprocess.run(["bash", "--norc"], input=command, capture_output=True, check=True).stdout
    assert output == text.encode("utf-8", "surrogateescape")


def test_large_image_makes_a_small_page(make_explanation):
    pixels = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(pixels).resize((4000, 3000), Image.Resampling.BICUBIC))
    noise = np.random.default_rng(0).random((64, 28, 28), np.float32)
    smooth = make_explanation().heatmap
    maps = tuple(TokenMap(index, 0.8 * smooth + 0.2 * noise[index]) for index in range(64))
    tokens = tuple(Token(f" {index}", index, -1.0, -3.0, 2.0, True, index) for index in range(64))
    html = make_explanation(pixels=pixels, tokens=tokens, token_maps=maps).to_html()
    (shown,) = Page(html).find("image", **{"class": "photo"})
    assert decoded(shown["href"]).size == (1024, 768)
    assert decoded(shown["href"]).format == "JPEG"
    assert len(html) < 2_000_000


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (1, 900), (2000, 2)])
@pytest.mark.parametrize("status", ["ok", "not_visual"])
def test_odd_sizes(make_explanation, size, status):
    explanation = make_explanation(status, pixels=np.full((*size, 3), 200, np.uint8))
    (photo,) = Page(explanation.to_html()).find("image", **{"class": "photo"})
    height, width = size
    shrink = min(1, 1024 / max(size))
    assert decoded(photo["href"]).size == (max(1, round(width * shrink)), max(1, round(height * shrink)))
    (card,) = Page(explanation._repr_html_()).find("img")
    assert decoded(card["src"]).size[0] >= 1


def test_card_is_a_fragment_without_script(make_explanation):
    html = make_explanation()._repr_html_()
    parsed = Page(html)
    assert not parsed.find("script")
    assert not parsed.find("style")
    assert not parsed.find("html")
    (image,) = parsed.find("img")
    assert image["alt"]
    assert "The green one." in parsed.text()


def test_saves_an_image_whose_name_is_not_utf8(make_explanation, tmp_path):
    explanation = make_explanation(path="a\udcff.png")
    folder = explanation.save(tmp_path / "out")
    assert "\\udcff.png" in (folder / "explanation.json").read_text(encoding="utf-8")
    assert "⟨U+DCFF⟩.png" in (folder / "report.html").read_text(encoding="utf-8")
