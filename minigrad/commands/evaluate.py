"""evaluate: test a trained model, or several together, on the test images, class by class."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from rich.table import Table

from kernels import threads
from minigrad import device
from minigrad.commands.arguments import (
    add_device,
    at_least,
    chosen_device,
    output_file,
    plain_console,
    program,
    shown_path,
    thread_count,
)
from minigrad.commands.ranks import data_of_rank_0
from minigrad.commands.trained import add_raw, load_trained
from minigrad.data import CLASS_NAMES, DataError, load
from minigrad.parallel import join
from minigrad.training import Evaluation, evaluate, plots
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.config import Builder, ConfigError
from minigrad.training.evaluation import mean_prediction, tta_views
from minigrad.training.loop import data_of

ERRORS = (DataError, CheckpointError, ConfigError, device.DeviceError, OSError)


def parser(writing: bool = True) -> argparse.ArgumentParser:
    """All options of `evaluate`. writing: whether this process will write the files that they name."""
    p = argparse.ArgumentParser(prog=program("evaluate"), description="Test trained models.")
    p.add_argument("runs", type=shown_path, metavar="RUN", nargs="+",
                   help="folder of a training run; several are an ensemble, which predicts the mean of what each does")
    p.add_argument("--tta", action="store_true",
                   help="predict the mean over five views of each image: as it is and moved by one pixel up, down, "
                   "left and right; over ten, with the mirror images, for a run that has trained on them (--flip)")
    add_raw(p)
    p.add_argument("--validation", action="store_true",
                   help="test on the training images that the runs held out, and not on the test images")
    p.add_argument("--gallery", type=output_file if writing else shown_path, metavar="FILE",
                   help="draw the most confident mistakes into this PNG file")
    p.add_argument("--test-limit", type=at_least(1), metavar="N", help="use only the first N test images")
    p.add_argument("--data-dir", type=shown_path, metavar="DIR", help="folder with the four IDX files")
    add_device(p)
    p.add_argument("--threads", type=thread_count, metavar="N", help="cores to use, default all")
    return p


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, load, test, print a table. Returns the exit status."""
    world = join()
    p = parser(writing=world.rank == 0)
    with world.first():
        options = p.parse_args(arguments)
    console = plain_console()
    place = chosen_device(options.device, console, world)
    models = [load_trained(builder, run, place, options.raw, world) for run in options.runs]
    held_out = {trained.config.hold_out for trained in models} if options.validation else {0}
    with world.first():
        if options.validation and (len(held_out) > 1 or held_out == {0}):
            given = sorted(held_out)
            p.error(f"--validation: the runs have held out {given} images, expected the same of all, and some")
    tested = replace(models[0].config, hold_out=held_out.pop(), test_limit=options.test_limit)
    data = data_of_rank_0(world, lambda: load(options.data_dir))
    _, (images, labels), kind = data_of(data, tested)
    there = device.to(images, place), device.to(labels, place)
    results, ways = [], set()
    for run, (config, model, weights) in zip(options.runs, models, strict=True):
        if weights:
            console.print(f"{run}: {weights}")
        views = tta_views(*images.shape, with_mirrored=config.flip) if options.tta else [None]
        ways.add(len(views))
        remedy = "use --device cpu" if place != device.CPU else "a smaller network, or smaller images, need less"
        with device.memory_errors(remedy), threads.limit(world.threads(options.threads)):
            results.append(evaluate(model, *there, config, console, log_every=10, views=views, world=world))
        if len(models) > 1:
            console.print(f"{run}: {_figures(results[-1])}")
    result, who = results[0], ""
    if len(models) > 1:
        result = mean_prediction(np.stack([each.probabilities for each in results]), labels)
        who = f"ensemble of {len(models)}: "
    console.print(_table(result))
    seen = f", each seen in {' or '.join(map(str, sorted(ways)))} ways" if options.tta else ""
    console.print(f"{who}{_figures(result)} on {len(images)} {kind} images{seen}")
    if options.gallery and world.rank == 0:
        plots.gallery(options.gallery, images, labels, result.probabilities, CLASS_NAMES)
    return 0


def _figures(result: Evaluation) -> str:
    return f"loss {result.loss:.4f}, accuracy {result.accuracy:.4f}"


def _table(result: Evaluation) -> Table:
    table = Table("class", "images", "right", "most often taken for")
    for index, (name, row) in enumerate(zip(CLASS_NAMES, result.confusion, strict=True)):
        wrong = row.copy()
        wrong[index] = 0
        mistake = f"{CLASS_NAMES[wrong.argmax()]} ({wrong.max()})" if wrong.any() else "-"
        table.add_row(name, str(row.sum()), f"{row[index] / max(1, row.sum()):.3f}", mistake)
    return table
