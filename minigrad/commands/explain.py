"""explain: one real training step as a page, operation by operation, forward and backward."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import minigrad
from kernels.layout import Array
from minigrad import device
from minigrad.commands.arguments import add_device, at_least, chosen_device, plain_console, program, shown_path
from minigrad.commands.settings import add_options_of, given, given_of
from minigrad.commands.trained import add_raw, load_trained
from minigrad.data import CLASS_NAMES, DataError, load, prepare
from minigrad.data.image_files import ImageFileError, read_image
from minigrad.explorer import explore
from minigrad.function import no_grad
from minigrad.nn import Module
from minigrad.nn.module import modes_kept
from minigrad.tensor import Tensor
from minigrad.training import recipes
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.config import Builder, Config, ConfigError
from minigrad.training.evaluation import softmax
from minigrad.training.objective import Scored, score

ERRORS = (CheckpointError, ConfigError, DataError, ImageFileError, device.DeviceError, OSError)

BATCH = 8
"""Images in the step: batch normalisation needs company."""


class Batch(NamedTuple):
    """images: (BATCH, 28, 28) uint8, of which the first is shown. labels: (BATCH,) int64. name: of the first."""

    images: Array
    labels: Array
    name: str


def parser(builder: Builder) -> argparse.ArgumentParser:
    """All options of `explain`."""
    p = argparse.ArgumentParser(
        prog=program("explain"),
        description="Run one training step on eight images, and write a page that shows all of it for one of them.",
    )
    p.add_argument("run", type=shown_path, nargs="?", metavar="RUN",
                   help="folder of a training run; without one the network has fresh weights")
    which = p.add_mutually_exclusive_group()
    which.add_argument("--index", type=at_least(0), default=0, metavar="N",
                       help="the test image to show, default 0; the next seven keep it company")
    which.add_argument("--image", type=shown_path, metavar="FILE", help="a PNG or JPEG file to show in its place")
    p.add_argument("--label", choices=CLASS_NAMES, metavar="CLASS",
                   help="what is on FILE, by default what the network takes it for; one of " + ", ".join(CLASS_NAMES))
    p.add_argument("--channel", type=at_least(0), metavar="N",
                   help="which channel can be opened to single pixels, by default, and where it has none of that "
                        "number, that with the largest gradient")
    p.add_argument("--out", type=shown_path, metavar="DIR",
                   help="folder of the page, default RUN/explained or explained")
    p.add_argument("--data-dir", type=shown_path, metavar="DIR", help="folder with the four IDX files")
    add_device(p)
    add_raw(p)
    fresh = p.add_argument_group("a fresh network", "what it is, where there is no RUN")
    fresh.add_argument("--recipe", choices=recipes.RECIPES, metavar="NAME",
                       help=f"{', '.join(recipes.RECIPES)}; default adam")
    fresh.add_argument("--image-size", type=at_least(1), metavar="N", help="pixels, by default the recipe's")
    fresh.add_argument("--seed", type=at_least(0, below=2**64), metavar="N", help="of its weights, default 0")
    add_options_of(builder, p)
    return p


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, run the step, write the page. Returns the exit status."""
    p = parser(builder)
    options = p.parse_args(arguments)
    console = plain_console()
    place = chosen_device(options.device, console)
    settings = given(options, builder)
    if options.run:
        beside = [*given_of(builder, options), *(settings.keys() - {"model"})]
        if beside:
            names = ", ".join("--" + name.replace("_", "-") for name in sorted(beside))
            p.error(f"RUN has its own settings; not allowed beside it: {names}")
        config, model, weights = load_trained(builder, options.run, place, options.raw)
        if weights:
            console.print(f"{options.run}: {weights}")
    else:
        config = recipes.settings(builder, settings.pop("recipe", Config.recipe), settings)
        minigrad.manual_seed(config.seed)
        model = config.build_model(builder).to(place)
    if options.raw and not options.run:
        p.error("--raw: only for a RUN; a fresh network has but one kind of weights")
    if options.label and not options.image:
        p.error("--label: only for --image; test images have labels")
    out = options.out or (options.run or Path()) / "explained"
    try:  # now, and not only after the work is done
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"--out: {out}: cannot be made: {error.strerror}") from error
    data = load(options.data_dir)
    count = len(data.test_images)
    if options.index >= count:
        p.error(f"--index: given {options.index}, expected one of the {count:,} test images, from 0")
    chosen = (options.index + np.arange(BATCH)) % count
    images, labels = data.test_images[chosen], data.test_labels[chosen].astype(np.int64)
    name = f"test image {options.index}"
    if options.image:
        images[0], name = read_image(options.image).pixels, options.image.name
    x = Tensor(prepare(device.to(images, place), **config.inputs))
    answer, probability = _answer(model, x)
    if options.image:
        labels[0] = CLASS_NAMES.index(options.label) if options.label else answer
    step, others = _steps(model, x, device.to(labels, place), config)
    about = (
        f"One training step on {BATCH} images of Fashion-MNIST, shown for {name}, {CLASS_NAMES[labels[0]]}; "
        f"the network takes it for {CLASS_NAMES[answer]} ({probability:.1%})."
    )
    title = f"{builder.__name__}, {f'trained ({options.run})' if options.run else 'fresh'}"
    console.print(f"{title}: {about} Each gradient is checked against finite differences, which takes a while.")
    page = explore(step, out, channel=options.channel, title=title, about=about, others=others)
    console.print(f"{page}: {page.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return 0


def _answer(model: Module, x: Tensor) -> tuple[int, float]:
    """What the network, in evaluation mode, takes the first image for, and how probable that is."""
    with modes_kept(model), no_grad():
        logits = model.eval()(x)
    (first, *_) = softmax(device.host(logits.data))
    return int(first.argmax()), float(first.max())


def _steps(
    model: Module, x: Tensor, labels: Array, config: Config
) -> tuple[Callable[[], Tensor], dict[str, Callable[[], Tensor]]]:
    """The step's loss, and by name that of the main classifier alone if there are several. All see the same masks."""
    model.train()

    def scored() -> tuple[Scored, dict[str, Scored]]:
        minigrad.manual_seed(config.seed)
        return score(model(x), labels, config.label_smoothing)

    def main_loss() -> Tensor:
        _, heads = scored()
        return next(iter(heads.values())).loss

    whole, heads = scored()
    whole.loss.backward()  # once in vain: what is compiled and allocated on first use shall not count as time
    for parameter in model.parameters():
        parameter.grad = None
    others = {"without the auxiliary classifiers": main_loss} if heads else {}
    return lambda: scored()[0].loss, others
