"""Reading images: pixel by pixel what a person sees, or one line that says why not."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from wherelook.data import images
from wherelook.data.images import frame_rate, load_frames, load_image, load_images, side_by_side
from wherelook.errors import InputError

ORIENTATION = 0x0112


@pytest.fixture
def pixels() -> np.ndarray:
    """(20, 30, 3): no symmetry."""
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def save(tmp_path):
    """Saves a PIL image under a name; returns the path."""

    def call(image: Image.Image, name: str = "image.png", **options: object) -> Path:
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return call


def gradient(dtype: str, step: int) -> np.ndarray:
    return (np.arange(20 * 12).reshape(20, 12) * step).astype(dtype)


# ---- color ----


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.ppm", "a.webp"])
def test_lossless_formats_give_the_pixels(save, pixels, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    path = save(Image.fromarray(pixels), name, **options)
    loaded = load_image(path)
    np.testing.assert_array_equal(loaded.pixels, pixels)
    assert loaded.pixels.dtype == np.uint8
    assert loaded.size == (20, 30)
    assert loaded.picture.size == (30, 20)
    assert loaded.notes == ()
    assert loaded.path == str(path)
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_gray_is_repeated(save, pixels):
    loaded = load_image(save(Image.fromarray(pixels[..., 0])))
    np.testing.assert_array_equal(loaded.pixels, np.repeat(pixels[..., :1], 3, axis=2))
    assert loaded.notes == ()


def test_one_bit(save, pixels):
    loaded = load_image(save(Image.fromarray(pixels[..., 0] > 127)))
    np.testing.assert_array_equal(loaded.pixels[..., 0], np.where(pixels[..., 0] > 127, 255, 0))


def on_white(color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha.astype(np.float64) / 255
    return color * share + 255 * (1 - share)


def test_rgba_is_composited_on_white(save, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, (20, 30, 1), dtype=np.uint8)
    loaded = load_image(save(Image.fromarray(np.concatenate([pixels, alpha], axis=2))))
    np.testing.assert_allclose(loaded.pixels, on_white(pixels, alpha), atol=1)
    assert loaded.notes == ("transparency composited on white",)


def test_gray_with_alpha_is_composited_on_white(save, pixels):
    picture = Image.fromarray(pixels[..., 0]).convert("LA")
    picture.putalpha(Image.fromarray(pixels[..., 1]))
    loaded = load_image(save(picture))
    np.testing.assert_allclose(loaded.pixels[..., 2], on_white(pixels[..., 0], pixels[..., 1]), atol=1)


def test_an_opaque_alpha_channel_is_not_worth_a_note(save, pixels):
    loaded = load_image(save(Image.fromarray(pixels).convert("RGBA")))
    np.testing.assert_array_equal(loaded.pixels, pixels)
    assert loaded.notes == ()


def palette_image() -> Image.Image:
    picture = Image.new("P", (4, 2))
    picture.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 0])
    picture.putdata([0, 1, 2, 0, 1, 2, 0, 1])
    return picture


def test_palette(save):
    loaded = load_image(save(palette_image()))
    colors = np.array([[10, 20, 30], [200, 100, 50], [0, 0, 0]])
    np.testing.assert_array_equal(loaded.pixels.reshape(-1, 3), colors[[0, 1, 2, 0, 1, 2, 0, 1]])


@pytest.mark.parametrize(("name", "transparency"), [("a.png", b"\xff\x80\x00"), ("a.gif", 2)])
def test_palette_with_transparency(save, name, transparency):
    loaded = load_image(save(palette_image(), name, transparency=transparency))
    half = [227, 177, 152] if name == "a.png" else [200, 100, 50]
    colors = np.array([[10, 20, 30], half, [255, 255, 255]])
    np.testing.assert_allclose(loaded.pixels.reshape(-1, 3), colors[[0, 1, 2, 0, 1, 2, 0, 1]], atol=1)
    assert loaded.notes == ("transparency composited on white",)


def test_cmyk_jpeg(save):
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    loaded = load_image(save(picture, "a.jpg", quality=100))
    np.testing.assert_allclose(loaded.pixels, np.broadcast_to([255, 0, 0], (16, 16, 3)), atol=3)


@pytest.mark.parametrize("step", [1, 257])
def test_deep_gray_png_is_scaled_by_its_range_not_its_content(save, step):
    levels = gradient("uint16", step)
    loaded = load_image(save(Image.fromarray(levels)))
    np.testing.assert_array_equal(loaded.pixels[..., 0], np.rint(levels / 257))
    assert loaded.notes == ("gray levels from 0 to 65535 reduced to 8 bits",)


def test_big_endian_gray_tiff(save):
    levels = gradient(">u2", 257)
    loaded = load_image(save(Image.fromarray(levels), "a.tiff"))
    np.testing.assert_array_equal(loaded.pixels[..., 1], levels // 257)


@pytest.mark.parametrize(("step", "top"), [(1 / 256, 1), (1, 255), (257, 65535)])
def test_float_tiff(save, step, top):
    levels = gradient("float32", 1) * step
    loaded = load_image(save(Image.fromarray(levels.astype(np.float32)), "a.tiff"))
    np.testing.assert_array_equal(loaded.pixels[..., 0], np.rint(levels * (255 / top)))
    assert loaded.notes == (f"gray levels from 0 to {top} reduced to 8 bits",)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 70000.0])
def test_gray_levels_out_of_range_are_refused(save, value):
    path = save(Image.fromarray(np.array([[0.0, value]], dtype=np.float32)), "a.tiff")
    with pytest.raises(InputError, match="gray levels outside 0 to 65535: scale them first"):
        load_image(path)


def test_16_bit_color_png_keeps_the_high_bytes(tmp_path):
    """Pillow cannot write one: two pixels by hand."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + struct.pack(">6H", 0x1234, 0xABCD, 0x00FF, 0xFFFF, 0x8000, 0x0100)
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(data)
    loaded = load_image(tmp_path / "deep.png")
    np.testing.assert_allclose(loaded.pixels[0], [[0x12, 0xAB, 0x00], [0xFF, 0x80, 0x01]], atol=1)


# ---- orientation ----

# EXIF orientation -> the stored pixels for an upright image.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(save, pixels, orientation, name):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED[orientation](pixels))
    options = {"lossless": True} if name == "a.webp" else {}
    loaded = load_image(save(Image.fromarray(stored), name, exif=exif, **options))
    np.testing.assert_array_equal(loaded.pixels, pixels)


def test_exif_orientation_of_a_jpeg(save, pixels):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    smooth = Image.fromarray(pixels).resize((4, 3)).resize((40, 30))
    path = save(smooth.rotate(90, expand=True), "a.jpg", exif=exif, quality=95)
    loaded = load_image(path)
    assert loaded.size == (30, 40)
    assert np.abs(loaded.pixels.astype(int) - np.asarray(smooth)).mean() < 4


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_a_meaningless_orientation_is_ignored(save, pixels, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    np.testing.assert_array_equal(load_image(save(Image.fromarray(pixels), exif=exif)).pixels, pixels)


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0"])
def test_damaged_metadata_of_a_sound_image_is_ignored(save, pixels, exif):
    picture = Image.fromarray(pixels)
    expected = load_image(save(picture, "plain.jpg")).pixels
    np.testing.assert_array_equal(load_image(save(picture, "odd.jpg", exif=exif)).pixels, expected)


# ---- frames ----


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff", "a.gif"])
def test_first_of_several_frames(save, pixels, name):
    first = Image.fromarray(pixels)
    if name == "a.gif":
        first = first.quantize(200, dither=Image.Dither.NONE)
    other = ImageOps.invert(Image.fromarray(pixels))
    options = {"lossless": True} if name == "a.webp" else {}
    path = save(first, name, save_all=True, append_images=[other, first], **options)
    loaded = load_image(path)
    np.testing.assert_array_equal(loaded.pixels, np.asarray(first.convert("RGB")))
    assert loaded.notes == ("first of 3 frames",)


def test_multi_picture_photo(tmp_path, pixels):
    photo = Image.fromarray(pixels)
    photo.save(tmp_path / "photo.jpg", "MPO", save_all=True, append_images=[photo])
    loaded = load_image(tmp_path / "photo.jpg")
    assert loaded.size == (20, 30)
    assert loaded.notes == ("first of 2 frames",)


# ---- files that are not what they seem ----


def test_the_extension_does_not_matter(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", "PNG")
    np.testing.assert_array_equal(load_image(tmp_path / "photo.jpg").pixels, pixels)


def test_one_pixel(save):
    loaded = load_image(save(Image.new("RGB", (1, 1), (1, 2, 3))))
    np.testing.assert_array_equal(loaded.pixels, [[[1, 2, 3]]])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff", "a.ppm"])
def test_truncated_files_are_refused_whatever_pillow_is_set_to(save, pixels, name, monkeypatch):
    path = save(Image.fromarray(pixels), name)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    for tolerant in (False, True):
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", tolerant)
        with pytest.raises(InputError, match=r"damaged|not an image"):
            load_image(path)
        assert ImageFile.LOAD_TRUNCATED_IMAGES is tolerant


def test_every_cut_and_every_flipped_byte_is_read_or_refused(save, pixels):
    """Whatever the damage, the only error is ours, and what is read is an image."""
    generator = np.random.default_rng(2)
    for name in ("a.png", "a.jpg", "a.gif", "a.tiff", "a.webp"):
        data = save(Image.fromarray(pixels[:8, :8]), name).read_bytes()
        for _ in range(25):
            damaged = bytearray(data)
            for position in generator.integers(0, len(data), 3):
                damaged[position] = int(generator.integers(0, 256))
            path = save(Image.new("L", (1, 1)), "damaged.png")
            path.write_bytes(damaged[: int(generator.integers(1, len(data) + 1))])
            try:
                loaded = load_image(path)
            except InputError as error:
                assert "\n" not in str(error)  # noqa: PT017
            else:
                assert loaded.pixels.ndim == 3


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (10_001, 10_000), (2**31 - 1, 2)])
def test_size_is_refused_before_decoding(tmp_path, width, height, monkeypatch):
    def fail(*arguments: object) -> None:
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4))
    with pytest.raises(InputError, match="the limit is 100 million"):
        load_image(tmp_path / "bomb.png")


def test_the_limit_holds_for_objects_too(monkeypatch):
    monkeypatch.setattr(images, "MAXIMUM_PIXELS", 99)
    with pytest.raises(InputError, match=r"the image has 10 x 10 pixels"):
        load_image(Image.new("RGB", (10, 10)))
    with pytest.raises(InputError, match=r"the array has 10 x 10 pixels"):
        load_image(np.zeros((10, 10), np.uint8))


def test_large_files_are_refused_unread(save, pixels, monkeypatch):
    monkeypatch.setattr(images, "MAXIMUM_BYTES", 100)
    with pytest.raises(InputError, match="the limit of an image file is"):
        load_image(save(Image.fromarray(pixels)))


def test_long_names_are_shortened_in_messages():
    with pytest.raises(InputError) as caught:
        load_image("d/" * 2000 + "a.png")
    assert len(str(caught.value)) < 400


# ---- objects ----


def test_pil_image(pixels):
    loaded = load_image(Image.fromarray(pixels))
    np.testing.assert_array_equal(loaded.pixels, pixels)
    assert loaded.path is None
    assert loaded.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()


def test_an_opened_image_has_its_path(save, pixels):
    path = save(Image.fromarray(pixels))
    with Image.open(path) as image:
        assert load_image(image).path == str(path)


def test_an_object_gives_the_frame_it_stands_at_and_stays_there(pixels):
    other = ImageOps.invert(Image.fromarray(pixels))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", save_all=True, append_images=[other])
    with Image.open(file) as image:
        image.seek(1)
        loaded = load_image(image)
        np.testing.assert_array_equal(loaded.pixels, np.asarray(other))
        assert loaded.notes == ("frame 2 of 2",)
        assert image.tell() == 1


def test_objects_are_not_changed(pixels):
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    file = io.BytesIO()
    Image.fromarray(pixels).convert("RGBA").save(file, "PNG", exif=exif)
    with Image.open(file) as image:
        image.load()
        before = image.tobytes(), image.mode, image.size, dict(image.getexif())
        load_image(image)
        assert (image.tobytes(), image.mode, image.size, dict(image.getexif())) == before
    array = pixels.copy()
    loaded = load_image(array)
    loaded.pixels[:] = 0
    np.testing.assert_array_equal(array, pixels)


def test_arrays(pixels):
    gray = pixels[..., 0]
    for array in (gray, gray[..., None], gray / 255.0, (gray / 255.0).astype(np.float32)):
        np.testing.assert_array_equal(load_image(array).pixels, np.repeat(gray[..., None], 3, axis=2))
    for array in (pixels, pixels / 255.0, np.asfortranarray(pixels), pixels[::-1][::-1]):
        np.testing.assert_array_equal(load_image(array).pixels, pixels)
    transparent = np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=2)
    assert (load_image(transparent).pixels == 255).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5, 3), np.uint8), r"shape \(height, width\[, 1\|3\|4\]\); got \(0, 5, 3\)"),
        (np.zeros((3, 5, 5), np.uint8), r"got \(3, 5, 5\)"),
        (np.zeros((2, 5, 5, 3), np.uint8), r"got \(2, 5, 5, 3\)"),
        (np.zeros(5, np.uint8), r"got \(5,\)"),
        (np.zeros((5, 5), np.int64), "uint8, or floating point in \\[0, 1\\]; got int64"),
        (np.zeros((5, 5), bool), "got bool"),
        (np.full((5, 5), 1.5), "finite values in \\[0, 1\\]"),
        (np.full((5, 5), -0.1), "finite values"),
        (np.full((5, 5), np.nan), "finite values"),
        (np.array([["a"]]), "got <U1"),
    ],
)
def test_arrays_that_are_no_image(array, message):
    with pytest.raises(InputError, match=message):
        load_image(array)


def test_an_empty_pil_image():
    with pytest.raises(InputError, match=r"the image has no pixels \(0 x 5\)"):
        load_image(Image.new("RGB", (0, 5)))


# ---- several images, and frames ----


def animation(path: Path, count: int, *, size: tuple[int, int] = (6, 4)) -> Path:
    """An animated GIF whose frame k is gray of level 10 k."""
    frames = [Image.new("RGB", size, (10 * index,) * 3) for index in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=40)
    return path


def test_frames_are_spread_from_the_first_to_the_last(tmp_path):
    path = animation(tmp_path / "clip.gif", 10)
    frames = load_frames(path, 4)
    assert [frame.frame for frame in frames] == [1, 4, 7, 10]
    assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [0, 30, 60, 90]
    assert frames[0].notes == ("frames 1, 4, 7, 10 of 10",)
    assert len({frame.sha256 for frame in frames}) == 1
    assert all(frame.path == str(path) for frame in frames)


def test_frames_know_when_they_are_shown(tmp_path):
    frames = load_frames(animation(tmp_path / "clip.gif", 10), 4)
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.12, 0.24, 0.36])
    assert frame_rate(frames) == pytest.approx(3 / 0.36)
    levels = [Image.new("L", (6, 4), 60 * index) for index in range(3)]
    levels[0].save(tmp_path / "uneven.webp", save_all=True, append_images=levels[1:], duration=[100, 300, 50])
    frames = load_frames(tmp_path / "uneven.webp", 3)
    assert [frame.seconds for frame in frames] == pytest.approx([0, 0.1, 0.4])
    assert frame_rate(frames) == pytest.approx(5)
    levels[0].save(tmp_path / "untimed.tiff", save_all=True, append_images=levels[1:])
    frames = load_frames(tmp_path / "untimed.tiff", 3)
    assert [frame.seconds for frame in frames] == [0, None, None]
    assert frame_rate(frames) is None


def test_a_short_animation_gives_all_its_frames(tmp_path):
    assert [frame.frame for frame in load_frames(animation(tmp_path / "clip.webp", 3), 8)] == [1, 2, 3]


def test_frames_that_cannot_be_had_are_refused(tmp_path):
    still = tmp_path / "still.png"
    Image.new("RGB", (4, 4)).save(still)
    with pytest.raises(InputError, match=r"still\.png' has one frame; expected an animation \(GIF, WebP, PNG, TIFF\)"):
        load_frames(still, 4)
    for count in (0, 1, 33):
        with pytest.raises(InputError, match=f"^frames are from 2 to 32; got {count}$"):
            load_frames(animation(tmp_path / "clip.gif", 3), count)
    damaged = tmp_path / "damaged.gif"
    damaged.write_bytes(animation(tmp_path / "clip.gif", 40, size=(60, 60)).read_bytes()[:2000])
    with pytest.raises(InputError, match=r"damaged\.gif'"):
        load_frames(damaged, 32)


def test_the_images_of_a_prompt_come_in_their_order():
    pictures = [Image.new("RGB", (5, 4), color) for color in ("red", "blue")]
    assert [image.pixels[0, 0].tolist() for image in load_images(pictures)] == [[255, 0, 0], [0, 0, 255]]
    assert len(load_images(pictures[0])) == 1
    loaded = load_images(pictures)
    assert load_images(loaded) == loaded
    for sources in ([], pictures * 17):
        with pytest.raises(InputError, match=f"from 1 to 32 images; got {len(sources)}"):
            load_images(sources)


def test_a_canvas_shows_the_images_side_by_side_at_one_height():
    red, blue = load_images([Image.new("RGB", (30, 20), "red"), Image.new("RGB", (10, 40), "blue")])
    canvas = side_by_side([red, blue])
    assert canvas.size == (24, 42)  # 1000 pixels, aspect ratio 1.5 + 0.25
    assert (canvas.pixels[:, :36] == (255, 0, 0)).all()
    assert (canvas.pixels[:, 36:] == (0, 0, 255)).all()
    assert canvas.path is None
    assert side_by_side([red]) is red
