"""train: learn Fashion-MNIST's ten kinds of clothes."""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

from rich.console import Console

from kernels import threads
from minigrad import device, random
from minigrad.commands import COMMANDS, INTERRUPTED
from minigrad.commands.arguments import add_device, at_least, chosen_device, plain_console, shown_path, thread_count
from minigrad.commands.profile import profile_table
from minigrad.commands.ranks import config_of_rank_0, data_of_rank_0
from minigrad.commands.settings import add_settings, given
from minigrad.data import DataError, load
from minigrad.files import require_no_links
from minigrad.parallel import join
from minigrad.profiler import Profiler
from minigrad.training import Config, Diverged, Stopped, Trainer, averaged, checkpoint, metrics, recipes, tensorboard
from minigrad.training.config import Builder, ConfigError
from minigrad.training.run_files import alone_in
from minigrad.training.together import of_rank_0

ERRORS = (
    DataError, Diverged, checkpoint.CheckpointError, ConfigError, tensorboard.TensorBoardError, device.DeviceError,
    OSError,
)  # fmt: skip

FILES = (checkpoint.NAME, checkpoint.PREVIOUS, averaged.NAME, metrics.EPOCHS, metrics.STEPS)
"""What a run reads again, besides its settings."""

# Those that a run's folder does not keep, and that a resumed run must be told again.
OTHERS = (
    "device", "precision", "kernels", "data_dir", "log_every", "checkpoint_every", "threads", "profile", "tensorboard",
)  # fmt: skip


def parser(builder: Builder) -> argparse.ArgumentParser:
    """All options of `train`."""
    p = argparse.ArgumentParser(
        usage="%(prog)s [train] [options]",
        description="Train on Fashion-MNIST.",
        epilog=f"Other commands: {', '.join(COMMANDS[1:])}; `%(prog)s COMMAND --help` tells about each.",
    )
    add_device(p)
    p.add_argument("--precision", choices=device.PRECISIONS, default="float32",
                   help="how a GPU multiplies matrices; tf32 rounds to 10 bits and is faster")
    p.add_argument("--kernels", choices=("cuda", "numba"), default="cuda",
                   help="what im2col and col2im are written in on a GPU: CUDA C++, or Numba to compare it with")
    p.add_argument("--data-dir", type=shown_path, metavar="DIR", help="folder with the four IDX files")
    p.add_argument("--out", type=shown_path, metavar="DIR", help="folder of the run, default runs/<date and time>")
    p.add_argument("--resume", type=shown_path, metavar="DIR", help="go on with the run in this folder")
    p.add_argument("--log-every", type=at_least(1), metavar="N",
                   help="steps between plain lines, default 10, and 50 on a GPU, which nobody waits for in between")
    p.add_argument("--checkpoint-every", type=at_least(0), default=0, metavar="N",
                   help="save after so many steps too, not only after each epoch")
    p.add_argument("--threads", type=thread_count, metavar="N", help="cores to use, default all")
    p.add_argument("--profile", action="store_true", help="print at the end which operations took the time")
    p.add_argument("--tensorboard", action="store_true", help="write the metrics for TensorBoard too")
    add_settings(p, builder)
    return p


@contextmanager
def _shown(profiler: Profiler | None, console: Console) -> Iterator[None]:
    """Print what the profiler has seen, however the run ends."""
    try:
        yield
    finally:
        if profiler is not None and profiler.seconds:
            console.print(profile_table(profiler, "time of the training steps (tests are left out)"))


def _twins(name: str) -> AbstractContextManager[None]:
    """Inside the block the GPU's im2col and col2im are those called `name`. DeviceError if they cannot be had."""
    from kernels.cuda import columns  # not above, for it needs CuPy

    try:
        return columns.twins(name)
    except ImportError as error:
        raise device.DeviceError(f"--kernels {name}: {error}") from error


def _beside_python(name: str) -> str:
    """That program beside the Python that runs this, as short as the user can write it; its name if there is none."""
    program, here = Path(sys.executable).with_name(name), Path.cwd()
    if not program.exists():
        return name
    return str(program.relative_to(here) if program.is_relative_to(here) else program)


def main(builder: Builder, arguments: Sequence[str]) -> int:
    """Parse, prepare the run's folder, train. Returns the exit status."""
    p = parser(builder)
    world = join()
    with world.first():
        options = p.parse_args(arguments)
    console = plain_console()
    place = chosen_device(options.device, console, world)
    if place != device.CPU:
        device.set_precision(options.precision)
    with world.first():
        if place == device.CPU and options.precision != "float32":
            p.error("--precision: only a GPU has a choice, and this run is on the CPU")
        if place == device.CPU and options.kernels != "cuda":
            p.error("--kernels: only a GPU has a choice, and this run is on the CPU")
    twins = nullcontext() if place == device.CPU else _twins(options.kernels)
    if options.tensorboard:
        tensorboard.check()
    now = of_rank_0(world, time.strftime("%Y%m%d-%H%M%S"))
    run = options.resume or options.out or Path("runs") / now
    config = config_of_rank_0(world, lambda: _settings(builder, run, options, p))
    data = data_of_rank_0(world, lambda: load(options.data_dir))
    random.manual_seed(config.seed)
    model = config.build_model(builder).to(place)
    profiler = Profiler() if options.profile else None
    log_every = options.log_every or (10 if place == device.CPU else 50)
    trainer = Trainer(model, data, config, run, console, log_every, options.checkpoint_every, profiler, world)
    with _folder(run, options, config) if world.rank == 0 else nullcontext():
        if options.resume:
            trainer.resume()
        return _train(trainer, twins, options, p)


def _settings(builder: Builder, run: Path, options: argparse.Namespace, p: argparse.ArgumentParser) -> Config:
    """The settings of the run, new or resumed. ConfigError if they make no sense."""
    settings = given(options, builder)
    if options.resume:
        beside = [*settings.pop("model", {}), *settings, *(["out"] if options.out else [])]
        if beside:
            names = ", ".join("--" + name.replace("_", "-") for name in beside)
            p.error(f"--resume goes on with the settings of the run; not allowed beside it: {names}")
        return Config.load(run, builder.__name__)
    if found := [name for name in ("config.json", *FILES) if (run / name).exists()]:
        hint = f"go on with it by --resume {run}, or choose another folder"
        p.error(f"--out: {run} holds a run already, or what is left of one, {found[0]}; {hint}")
    return recipes.settings(builder, settings.pop("recipe", Config.recipe), settings)


@contextmanager
def _folder(run: Path, options: argparse.Namespace, config: Config) -> Iterator[None]:
    """Inside the block the run's folder is there, with its settings, and no other run may use it."""
    run.mkdir(parents=True, exist_ok=True)
    with alone_in(run):
        if not options.resume:
            if (run / "config.json").exists():
                raise ConfigError(f"{run}: another run has begun in this folder meanwhile")
            require_no_links(run)
            config.save(run)
        yield


def _train(
    trainer: Trainer, twins: AbstractContextManager[None], options: argparse.Namespace, p: argparse.ArgumentParser
) -> int:
    """Train to the end, or until the user stops it. Returns the exit status."""
    config, run, console, profiler = trainer.config, trainer.files.folder, trainer.console, trainer.profiler
    world = trainer.world
    count = world.threads(options.threads)
    ranks = f"{world.size} ranks, {count} threads in each; " if world.size > 1 else ""
    console.print(
        f"{config.network}, {sum(each.data.size for each in trainer.model.parameters()):,} parameters; "
        f"{len(trainer.train_images):,} training and {len(trainer.test_images):,} {trainer.tested} images; "
        f"{ranks}run folder {run}"
    )
    try:
        full = device.memory_errors("a smaller --batch-size or --image-size needs less")
        drawn = options.tensorboard and world.rank == 0
        board = closing(tensorboard.Board(run, trainer.position.step)) if drawn else nullcontext()
        with threads.limit(count), _shown(profiler, console), full, twins, board as trainer.board:
            result = trainer.train()
    except Stopped as stopped:
        launcher = [_beside_python("mpiexec"), "-n", str(world.size)] if world.size > 1 else []
        again = [*launcher, _beside_python(Path(sys.executable).name), sys.argv[0], "--resume", str(run)]
        for name in OTHERS:
            if (value := getattr(options, name)) != p.get_default(name):
                again += ["--" + name.replace("_", "-"), *([] if value is True else [str(value)])]
        hosts = " on the same hosts" if world.local_size < world.size else ""
        console.print(f"{stopped}; go on{hosts} with: {shlex.join(again)}")
        return INTERRUPTED
    if result is None:
        console.print(f"the run is finished already: {config.epochs} of {config.epochs} epochs")
    return 0
