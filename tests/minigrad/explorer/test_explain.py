"""The explain command: what it takes, what it says, and that the page of each network opens."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import minigrad
from examples.small_inception import SmallInception
from examples.small_resnet import SmallResNet
from googlenet import GoogLeNet
from minigrad import Tensor, functional as F, nn
from minigrad.commands import run
from minigrad.data import CLASS_NAMES, FashionMNIST
from minigrad.training import checkpoint
from minigrad.training.config import Config
from tests import cupy_standin, on_card
from tests.minigrad.commands.made_run import made_run, probabilities
from tests.minigrad.explorer.browser import Visit, chromium
from tests.minigrad.explorer.pages import read_page
from tests.small_net import SmallNet


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def explained(builder: Any, *arguments: str | Path) -> int:
    return run(builder, ["explain", *map(str, arguments), "--device", "cpu"])


def test_a_trained_run_is_explained_into_its_own_folder(
    tmp_path: Path, cut_data: FashionMNIST, capsys: pytest.CaptureFixture[str]
) -> None:
    model = made_run(tmp_path / "run", seed=2)
    assert explained(SmallNet, tmp_path / "run", "--index", "7") == 0
    page = read_page(tmp_path / "run" / "explained" / "index.html")
    (expected,) = probabilities(model, cut_data.test_images[7:8])
    label = CLASS_NAMES[cut_data.test_labels[7]]
    about = (
        f"One training step on 8 images of Fashion-MNIST, shown for test image 7, {label}; "
        f"the network takes it for {CLASS_NAMES[expected.argmax()]} ({expected.max():.1%})."
    )
    assert page["about"] == about
    assert about in capsys.readouterr().out
    assert page["operations"][0]["output"]["shape"][0] == 8
    assert [each["name"] for each in page["operations"]] == [
        "Conv2d", "Conv2d", "MaxPool2d", "AdaptiveAvgPool2d", "Reshape", "Dropout", "Linear", "CrossEntropy",
    ]  # fmt: skip
    assert page["backward"] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert all(each["proof"]["difference"] < 1e-4 for each in page["operations"])


def test_the_image_is_the_first_of_eight_and_wraps_at_the_end(tmp_path: Path, cut_data: FashionMNIST) -> None:
    made_run(tmp_path / "run", seed=2)
    last = len(cut_data.test_images) - 1
    assert explained(SmallNet, tmp_path / "run", "--index", str(last), "--out", tmp_path / "page") == 0
    assert f"test image {last}, " in read_page(tmp_path / "page" / "index.html")["about"]


def test_a_picture_is_explained_as_what_the_user_or_the_network_takes_it_for(
    tmp_path: Path, cut_data: FashionMNIST
) -> None:
    model = made_run(tmp_path / "run", seed=2)
    pixels = cut_data.test_images[3]
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    (expected,) = probabilities(model, pixels[None])
    for options, label in (([], CLASS_NAMES[expected.argmax()]), (["--label", "Bag"], "Bag")):
        arguments = (tmp_path / "run", "--image", tmp_path / "mine.png", *options, "--out", tmp_path / "page")
        assert explained(SmallNet, *arguments) == 0
        assert f"shown for mine.png, {label};" in read_page(tmp_path / "page" / "index.html")["about"]


def test_a_channel_can_be_chosen(tmp_path: Path, cut_data: FashionMNIST) -> None:
    assert explained(SmallNet, "--image-size", "28", "--channel", "5", "--out", tmp_path) == 0
    page = read_page(tmp_path / "index.html")
    opened = [each["closer"] for each in page["operations"] if each["name"] in ("Conv2d", "MaxPool2d")]
    assert [closer["channel"] for closer in opened] == [5, 5, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["RUN", "--recipe", "best"], "RUN has its own settings; not allowed beside it: --recipe"),
        (["RUN", "--seed", "3", "--image-size", "32"], "not allowed beside it: --image-size, --seed"),
        (["RUN", "--label", "Bag"], "--label: only for --image; test images have labels"),
        (["RUN", "--index", "200"], "--index: given 200, expected one of the 200 test images, from 0"),
        (["RUN", "--index", "1", "--image", "x.png"], "not allowed with argument"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], message: str, tmp_path: Path, cut_data: FashionMNIST, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path / "run", seed=2)
    with pytest.raises(SystemExit, match="2"):
        explained(SmallNet, *(str(tmp_path / "run") if each == "RUN" else each for each in arguments))
    assert message in capsys.readouterr().err


def test_a_missing_picture_or_run_is_one_line(
    tmp_path: Path, cut_data: FashionMNIST, capsys: pytest.CaptureFixture[str]
) -> None:
    made_run(tmp_path / "run", seed=2)
    assert explained(SmallNet, tmp_path / "run", "--image", tmp_path / "none.png") == 1
    assert capsys.readouterr().err == f"error: {tmp_path / 'none.png'}: no such file\n"
    assert explained(SmallNet, tmp_path / "nowhere") == 1
    assert "expected the folder of a training run" in capsys.readouterr().err


def trained_googlenet(folder: Path) -> Path:
    """A run's folder, with weights that no fresh network has."""
    folder.mkdir()
    config = Config("GoogLeNet", image_size=32, model={"norm": "batch"})
    config.save(folder)
    model = config.build_model(GoogLeNet)
    model.fc.bias.data[:] = np.arange(10) / 10
    checkpoint.save_model(folder / checkpoint.NAME, model)
    return folder


NETWORKS: dict[str, tuple[Any, list[str] | None]] = {
    "GoogLeNet, trained": (GoogLeNet, None),
    "small Inception": (SmallInception, ["--image-size", "28"]),
    "small ResNet": (SmallResNet, ["--image-size", "28"]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_of_each_network_opens_and_walks_to_its_end(
    name: str, tmp_path: Path, cut_data: FashionMNIST, browser: Any
) -> None:
    builder, options = NETWORKS[name]
    given = [trained_googlenet(tmp_path / "run")] if options is None else options
    assert explained(builder, *given, "--out", tmp_path / "page") == 0
    path = tmp_path / "page" / "index.html"
    visit = Visit(browser, path)
    visit.page.keyboard.press("End")
    count = int(re.findall(r"of (\d+)", visit.text("#where"))[0])
    assert visit.text("#where").startswith(f"step {count} of {count}, backward")
    visit.page.click("#unfold")
    visit.close(path)


class Outputs(NamedTuple):
    main: Tensor
    aux1: Tensor


class TwoHeads(SmallNet):
    """A network with an auxiliary classifier."""

    def __init__(self, in_channels: int, num_classes: int, image_size: int) -> None:
        super().__init__(in_channels, num_classes, image_size)
        self.aux1 = nn.Linear(image_size**2, num_classes)

    def forward(self, x: Tensor) -> Any:
        main = super().forward(x)
        return Outputs(main, self.aux1(F.flatten(x, 1))) if self.training else main


def test_a_fresh_network_with_two_heads_is_compared_with_its_main_one_alone(
    tmp_path: Path, cut_data: FashionMNIST
) -> None:
    assert explained(TwoHeads, "--image-size", "28", "--out", tmp_path) == 0
    page = read_page(tmp_path / "index.html")
    (other,) = page["others"]
    own = [each["gradient"] and each["gradient"]["norm"] for each in page["operations"]]
    alone = dict(zip((each["path"] for each in page["operations"]), other["norms"], strict=True))
    assert other["name"] == "without the auxiliary classifiers"
    assert other["loss"] < page["loss"]
    assert alone["aux1"] is None
    for path in ("conv1", "conv2", "dropout", "fc"):  # no gradient but the main head's comes here, with the same mask
        place = [each["path"] for each in page["operations"]].index(path)
        assert alone[path] == pytest.approx(own[place])


@on_card.NEEDS_GPP
def test_a_move_to_a_card_is_on_the_page(tmp_path: Path) -> None:
    x = minigrad.Tensor([1.0, 2.0], requires_grad=True)
    with cupy_standin.installed():
        page = read_page(minigrad.explore(lambda: (x.to("gpu") ** 2).sum(), tmp_path))
    assert [each["name"] for each in page["operations"]] == ["Move", "Pow", "Sum"]
    assert all(each["proof"]["agrees"] for each in page["operations"])


@on_card.NEEDS_GPP
def test_a_step_on_the_card_is_the_step_on_the_cpu(tmp_path: Path, cut_data: FashionMNIST) -> None:
    pages = {}
    for place in ("cpu", "gpu"):
        with cupy_standin.installed() if place == "gpu" else nullcontext():
            arguments = ["explain", "--image-size", "28", "--device", place, "--out", str(tmp_path / place)]
            assert run(SmallNet, arguments) == 0
        pages[place] = read_page(tmp_path / place / "index.html")
    assert pages["gpu"]["loss"] == pytest.approx(pages["cpu"]["loss"], rel=1e-5)
    for ours, theirs in zip(pages["gpu"]["operations"], pages["cpu"]["operations"], strict=True):
        assert ours["name"] == theirs["name"]
        # Images have flat parts, where rounding decides who wins the pool, and so where conv1's gradient goes.
        for key in ("output",) if ours["path"] == "conv1" else ("output", "gradient"):
            for figure in ("mean", "norm", "high"):
                expected = pytest.approx(theirs[key][figure], rel=1e-4, abs=1e-6)
                assert ours[key][figure] == expected, f"{ours['path']} {ours['name']}, {key}"
        assert ours["proof"]["difference"] < 1e-4
    ran = {text["place"].rpartition("/")[0] for text in pages["gpu"]["texts"] if text["title"].endswith("as it ran")}
    assert ran == {"kernels/cuda"}


def test_a_folder_that_cannot_be_made_is_told_before_the_work(
    tmp_path: Path, cut_data: FashionMNIST, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert explained(SmallNet, "--image-size", "28", "--out", tmp_path / "file") == 1
    captured = capsys.readouterr()
    assert captured.err == f"error: --out: {tmp_path / 'file'}: cannot be made: File exists\n"
    assert "One training step" not in captured.out
