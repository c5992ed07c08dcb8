"""Image objects that cannot be decoded any more, files that would take minutes, and limits that are no damage."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from wherelook.data import images
from wherelook.data.images import decode_image, load_frames, load_image
from wherelook.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
FORMATS = {"PNG": "png", "JPEG": "jpg", "GIF": "gif", "WEBP": "webp", "TIFF": "tiff", "BMP": "bmp"}


def encoded(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, form, **options)
    return stream.getvalue()


# ---- objects ----


def truncated(form: str) -> Image.Image:
    data = encoded(form)
    return Image.open(io.BytesIO(data[: int(len(data) * 0.9)]))


def closed(form: str, path: Path) -> Image.Image:
    path = path / f"a.{FORMATS[form]}"
    path.write_bytes(encoded(form))
    with Image.open(path) as image:
        return image


@pytest.mark.parametrize("form", FORMATS)
def test_an_object_that_cannot_be_decoded_is_one_clear_line(form, tmp_path):
    made = []
    try:
        made.append(truncated(form))
    except OSError:  # this format is refused when it is opened
        assert form in ("WEBP", "TIFF")
    made.append(closed(form, tmp_path))
    for image in made:
        try:
            line = f"read: {load_image(image).size}"  # some decoders have all they need when the file is opened
        except InputError as error:
            line = str(error)
        assert line.startswith(("read: (20, 30)", "the image object cannot be decoded (truncated, or its file was"))
        assert "\n" not in line


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP"])
def test_a_truncated_and_a_closed_object_are_refused(form, tmp_path):
    for image in (truncated(form), closed(form, tmp_path)):
        with pytest.raises(InputError, match=r"the image object cannot be decoded \(truncated, or its file was closed"):
            load_image(image)


def test_an_object_that_was_decoded_before_it_was_closed(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    with Image.open(path) as image:
        image.load()
    np.testing.assert_array_equal(load_image(image).pixels, PIXELS)


# ---- limits ----


def with_text(length: int) -> bytes:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("comment", "x" * length, zip=True)
    return encoded("PNG", pnginfo=chunk)


def test_a_long_text_in_a_png_is_told_as_a_limit():
    assert decode_image(with_text(1000), "x").size == (20, 30)
    with pytest.raises(InputError, match=r"x is beyond a limit of the image library \(Pillow\), which is no damage: "):
        decode_image(with_text(2_000_000), "x")


def test_many_texts_in_a_png_are_told_as_a_limit(monkeypatch):
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 1000)
    with pytest.raises(InputError, match=r"is beyond a limit of the image library .*MAX_TEXT_MEMORY"):
        decode_image(with_text(5000), "x")


def test_the_application_s_own_limit_is_told_as_its_own(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(
        InputError, match=r"too many pixels; the limit is PIL.Image.MAX_IMAGE_PIXELS = 100, as set here"
    ):
        decode_image(encoded("PNG"), "x")


# ---- time ----


def animation(frames: int, size: tuple[int, int] = (1, 1)) -> bytes:
    """A GIF of very many frames of one pixel, on a canvas of (width, height)."""
    stream = io.BytesIO()
    Image.new("P", (1, 1)).save(stream, "GIF")
    data = bytearray(stream.getvalue())
    start = data.index(b",\0\0\0\0")
    struct.pack_into("<HH", data, 6, *size)
    return bytes(data[:start] + data[start:-1] * frames + b";")


def test_frames_of_a_large_animation_are_not_counted_for_a_note():
    data = animation(300_000)
    started = time.process_time()
    loaded = decode_image(data, "x")
    assert time.process_time() - started < 1  # to count them takes seconds
    assert loaded.notes == ("first of several frames",)
    assert decode_image(animation(12), "x").notes == ("first of 12 frames",)


def test_an_animation_that_would_take_minutes_is_refused(tmp_path):
    (tmp_path / "a.gif").write_bytes(animation(2000, (8000, 8000)))
    with pytest.raises(InputError, match=r"has 2000 frames of 8000 x 8000 pixels, which would take minutes to decode"):
        load_frames(tmp_path / "a.gif", 4)
    (tmp_path / "b.gif").write_bytes(animation(5))
    assert len(load_frames(tmp_path / "b.gif", 4)) == 4


def test_a_jpeg_of_very_many_scans_is_refused(monkeypatch):
    data = encoded("JPEG", progressive=True)
    assert decode_image(data, "x").size == (20, 30)
    start = data.index(images.JPEG_SCAN)
    monkeypatch.setattr(images, "MAXIMUM_SCANNED", 20 * 30 * 100)
    assert decode_image(data, "x").size == (20, 30)
    with pytest.raises(InputError, match=r"has 30 x 20 pixels in \d+ scans, which would take minutes to decode"):
        decode_image(data[:-2] + data[start:-2] * 20 + data[-2:], "x")
