"""The predict command, and how ordinary image files become pictures like those of the data set."""

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigrad.commands import run
from minigrad.data import CLASS_NAMES, FashionMNIST
from minigrad.data.image_files import ImageFileError, read_image
from minigrad.training import averaged
from tests.minigrad.commands.made_run import made_run, probabilities
from tests.small_net import SmallNet

Table = dict[str, float]


@pytest.fixture
def predicted(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Table]]:
    """What the command prints: classes and probabilities, by the line above them."""

    def command(*paths: Path) -> dict[str, Table]:
        capsys.readouterr()
        assert run(SmallNet, ["predict", *map(str, paths), "--device", "cpu"]) == 0
        tables: dict[str, Table] = {}
        for line in capsys.readouterr().out.splitlines():
            cells = [cell.strip() for cell in line.split("│")]
            if ".png:" in line or ".jpg:" in line:
                rows = tables[line] = {}
            elif len(cells) == 4:
                rows[cells[1]] = float(cells[2])
        return tables

    return command


def likeliest(model: SmallNet, image: np.ndarray) -> Table:
    (own,) = probabilities(model, image[None])
    return {CLASS_NAMES[index]: own[index] for index in np.argsort(-own)[:5]}


def stays(image: np.ndarray) -> bool:
    """Whether trimming and centring leave a test image as it is, whatever noise a JPEG file adds to it."""

    def box(threshold: int) -> list[tuple[int, int]]:
        lit = [np.flatnonzero((image > threshold).any(axis=axis)) for axis in (0, 1)]
        return [(int(places[0]), int(places[-1]) + 1) for places in lit]

    sizes = [end - start for start, end in box(13)]
    centred = all(start == (28 - size) // 2 for (start, _), size in zip(box(13), sizes, strict=True))
    return max(sizes) == 28 and centred and box(7) == box(19)


def photo(image: np.ndarray) -> Image.Image:
    """A test image as a large photograph of it might be: in colours, dark on light, with much around it."""
    canvas = Image.new("RGB", (700, 500), (250, 250, 250))
    canvas.paste(Image.fromarray(255 - image).resize((280, 280), Image.Resampling.NEAREST), (330, 150))
    return canvas


def test_test_images_are_recognised_as_the_model_does(
    tmp_path: Path, predicted: Callable[..., dict[str, Table]], cut_data: FashionMNIST
) -> None:
    """As they are, and as photographs; of a run with averaged weights, these."""
    made_run(tmp_path / "run", 0)
    model = made_run(tmp_path / "run", 1, name=averaged.NAME)
    chosen = [image for image in cut_data.test_images if stays(image)][:3]
    assert len(chosen) == 3
    for number, image in enumerate(chosen):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        photo(image).save(tmp_path / f"{number}.jpg", quality=95)
    files = [tmp_path / f"{number}.{kind}" for kind in ("png", "jpg") for number in range(3)]
    tables = predicted(tmp_path / "run", *files)
    assert [*tables] == [f"{file}:{' inverted, for its border is light' * (file.suffix == '.jpg')}" for file in files]
    exact, near = [*tables.values()][:3], [*tables.values()][3:]
    for image, own, photographed in zip(chosen, exact, near, strict=True):
        assert [*own] == [*likeliest(model, image)], "the likeliest first"
        assert own == pytest.approx(likeliest(model, image), abs=1e-4)
        assert photographed == pytest.approx(own, abs=0.05)


@pytest.fixture
def shape() -> np.ndarray:
    """20 wide and 40 high, brightest at the top left."""
    return np.linspace(255, 120, 800).reshape(40, 20).astype(np.uint8)


def placed(shape: np.ndarray, top: int = 17, left: int = 31) -> np.ndarray:
    image = np.zeros((90, 70), np.uint8)
    image[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
    return image


def test_a_picture_is_trimmed_and_centred(tmp_path: Path, shape: np.ndarray) -> None:
    Image.fromarray(placed(shape)).save(tmp_path / "a.png")
    pixels, inverted = read_image(tmp_path / "a.png")
    assert not inverted
    assert (pixels[:, :7] == 0).all()
    assert (pixels[:, 21:] == 0).all()
    assert (pixels[:, 7:21] > 100).all(), "28 high, and so 14 wide"
    small = pixels[:, 7:21].astype(float)
    assert abs(small.mean() - shape.mean()) < 1
    assert small[0, 0] == small.max()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16", "transparent", "rotated"])
def test_files_of_all_kinds_are_the_same_picture(tmp_path: Path, shape: np.ndarray, mode: str) -> None:
    grey = placed(shape)
    options = {}
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) << 8)
    elif mode == "transparent":  # dark clothes with nothing around them
        image = Image.fromarray(np.stack([255 - grey] * 3 + [255 * (grey > 0)], axis=2).astype(np.uint8))
    elif mode == "rotated":  # a camera held on its side
        image = Image.fromarray(grey).rotate(90, expand=True)
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = 6
    else:
        image = Image.fromarray(grey).convert(mode)
    image.save(tmp_path / "a.png", **options)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    expected = read_image(tmp_path / "grey.png").pixels.astype(int)
    pixels, inverted = read_image(tmp_path / "a.png")
    assert inverted == (mode == "transparent")
    assert np.abs(pixels - expected).max() <= 1


@pytest.mark.parametrize("size", [(5, 5), (500, 1), (3, 400)])
def test_pictures_of_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    image = Image.new("L", size, 0)
    image.putpixel((size[0] // 2, size[1] // 2), 90)
    image.save(tmp_path / "a.png")
    pixels, _ = read_image(tmp_path / "a.png")
    assert (pixels.shape, pixels.dtype, pixels.max()) == ((28, 28), np.uint8, 90)


@pytest.mark.parametrize("light", [False, True])
def test_clothes_cut_out_are_seen_whatever_their_colour(tmp_path: Path, shape: np.ndarray, light: bool) -> None:
    """Nothing, which has a colour too that nobody sees, lies around them."""
    grey = placed(shape)
    seen = np.full(grey.shape, 40, np.uint8) if not light else np.full(grey.shape, 250, np.uint8)
    Image.fromarray(np.stack([seen] * 3 + [255 * (grey > 0)], axis=2).astype(np.uint8)).save(tmp_path / "a.png")
    pixels, inverted = read_image(tmp_path / "a.png")
    assert inverted == (not light)
    assert (pixels[:, 7:21] == (250 if light else 215)).all()
    assert (pixels[:, :7] == 0).all()


@pytest.mark.parametrize(("background", "clothes"), [(200, 20), (150, 30), (60, 220)])
def test_a_grey_background_becomes_black(tmp_path: Path, background: int, clothes: int) -> None:
    """Inside the clothes' frame as beside it."""
    image = np.full((90, 70), background, np.uint8)
    image[20:60, 25:45] = clothes
    image[20:40, 25:35] = background  # a corner of the frame
    Image.fromarray(image).save(tmp_path / "a.png")
    pixels, inverted = read_image(tmp_path / "a.png")
    assert inverted == (background > clothes)
    reach = background if inverted else 255 - background
    expected = round(abs(background - clothes) * 255 / reach)
    assert (pixels[:13, 7:13] == 0).all()
    assert (pixels[:, :7] == 0).all()
    assert (np.abs(pixels[15:, 7:21] - float(expected)) <= 1).all()


def png(width: int, height: int) -> bytes:
    """A PNG file that says it is so large, and holds nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(file, "JPEG")
    return file.getvalue()


def blank() -> bytes:
    file = io.BytesIO()
    Image.new("L", (30, 40), 200).save(file, "PNG")
    return file.getvalue()


def damaged_exif() -> bytes:
    """A JPEG file that is to be turned, whose EXIF data have words where there should be a number."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112], exif[0x0131] = 6, "minigrad"
    Image.effect_noise((40, 40), 80).save(file, "JPEG", exif=exif)
    return file.getvalue().replace(b"\x01\x31\x00\x02", b"\x01\x4e\x00\x02")  # the software, now the number of inks


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"a shirt", "expected a PNG or JPEG image"),
        (b"", "expected a PNG or JPEG image"),
        (b"GIF89a" + bytes(100), "expected a PNG or JPEG image"),
        (jpeg()[:-3000], "cannot be read as an image: .*truncated"),
        (blank(), "there is nothing on it but background"),
        (damaged_exif(), "cannot be read as an image: "),
        (png(30, 30), "cannot be read as an image: .*"),
        (png(12_000, 12_000), "too large: .*decompression bomb"),
        (png(100_000, 100_000), "too large: .*decompression bomb"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, content: bytes | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    made_run(tmp_path / "run", 0)
    assert run(SmallNet, ["predict", str(tmp_path / "run"), str(path), "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert re.fullmatch(rf"error: {re.escape(str(path))}: {message}.*\n", said.err)
    assert said.out == ""


def test_the_other_files_have_their_turn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_run(tmp_path / "run", 0)
    names = [str(tmp_path / name) for name in ("a.png", "broken.png", "b.png")]
    for name in (names[0], names[2]):
        Image.effect_noise((28, 28), 80).save(name)
    (tmp_path / "broken.png").write_bytes(b"a shirt")
    assert run(SmallNet, ["predict", str(tmp_path / "run"), *names, "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert said.err == f"error: {names[1]}: expected a PNG or JPEG image\n"
    assert [line.partition(":")[0] for line in said.out.splitlines() if ".png:" in line] == [names[0], names[2]]


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match=rf"{tmp_path}: cannot be read as an image"):
        read_image(tmp_path)
