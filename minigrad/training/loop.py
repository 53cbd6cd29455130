"""The training loop: forward, backward, step, and all around it that keeps a run safe."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import kernels
from kernels.layout import Array
from minigrad import device, random
from minigrad.anomaly import AnomalyError, detect_anomaly
from minigrad.data import CLASS_NAMES, Augmentation, FashionMNIST, batches, epoch_order
from minigrad.nn import Module
from minigrad.nn.norm import BatchNorm
from minigrad.parallel import ALONE, GradientAverage, World, share_statistics
from minigrad.profiler import Profiler
from minigrad.tensor import Tensor
from minigrad.training import averaged, metrics, plots, tensorboard, together
from minigrad.training.checkpoint import Position
from minigrad.training.config import Config, ConfigError
from minigrad.training.evaluation import Evaluation, evaluate
from minigrad.training.interrupt import interruptible, say_at_once
from minigrad.training.objective import Scored, score
from minigrad.training.progress import Reporter
from minigrad.training.run_files import RunFiles
from minigrad.training.step_log import StepLog


class Diverged(RuntimeError):  # noqa: N818  (what happened, not what went wrong in the code)
    """The loss or a weight is no longer finite."""


class Stopped(RuntimeError):  # noqa: N818
    """The user has stopped the run, which is saved."""


def data_of(data: FashionMNIST, config: Config) -> tuple[tuple[Array, Array], tuple[Array, Array], str]:
    """Images (N, H, W) uint8 and labels (N,) int64 to train on, those to test on, and what the latter are called,
    "test" or "validation". ConfigError if all images are held out."""
    kept = len(data.train_images) - config.hold_out
    if kept < 1:
        raise ConfigError(f"hold_out: given {config.hold_out}, expected fewer than {len(data.train_images)} images")
    train = data.train_images[:kept][: config.train_limit], data.train_labels[:kept][: config.train_limit]
    test, name = (data.test_images, data.test_labels), "test"
    if config.hold_out:
        test, name = (data.train_images[kept:], data.train_labels[kept:]), "validation"
    images, labels = test
    return train, (images[: config.test_limit], labels[: config.test_limit]), name


class Trainer:
    """One run in one folder: trains the model by `config`, from the beginning or from where a checkpoint was.

    It trains on the device that the model is on, and keeps all images there. Each rank of `world` has a Trainer of its
    own, with the same images and settings, trains on its share of each batch, and tests its share of the images; rank 0
    alone writes, and what it has read is what counts.

    checkpoint_every: save after so many steps too, not only after each epoch; 0 for epochs only.
    log_every: without a terminal, a line of progress each so many steps. On a GPU nobody looks at the losses, and so
    nobody waits for them, in between.
    profiler: watches the training epochs, but not the tests.

    ConfigError if the settings and the images do not fit: none are left to train on, or batch normalisation would get a
    single value.
    """

    def __init__(
        self, model: Module, data: FashionMNIST, config: Config, run: Path, console: Console, log_every: int = 10,
        checkpoint_every: int = 0, profiler: Profiler | None = None, world: World = ALONE,
    ) -> None:
        self.model, self.config, self.console, self.world = model, config, console, world
        self.files = RunFiles(run, console, writing=world.rank == 0)
        self.position = Position()
        weight = next(model.parameters()).data
        train, test, self.tested = data_of(data, config)
        self.train_images, self.train_labels = (device.beside(weight, array) for array in train)
        self.test_images, self.test_labels = (device.beside(weight, array) for array in test)
        count = len(self.train_images)
        try:
            self._views(0)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        normalised = any(isinstance(module, BatchNorm) for module in model.modules())
        if normalised:
            together.require_enough(world, config, count)
        self.log_every, self.checkpoint_every, self.profiler = log_every, checkpoint_every, profiler
        self.optimizer = config.build_optimizer(model)
        self.steps_per_epoch = -(-len(self.train_images) // config.batch_size)
        capacity = min(log_every, self.steps_per_epoch) if kernels.is_on_card(weight) else 1
        self.log = StepLog(weight, capacity, world)
        self.schedule = config.build_schedule(self.optimizer, self.steps_per_epoch)
        self.average = config.build_average(model)
        self.board: tensorboard.Board | None = None
        self.asked_to_stop = self.stopping = self._warm = False
        self.gradients = GradientAverage(world, model.parameters()) if world.size > 1 else None
        if config.sync_batch_norm and world.size > 1:
            share_statistics(model, world)

    def resume(self) -> None:
        """Go on from the run's checkpoint, or the one before if it is damaged; without one, from the beginning.
        CheckpointError if there are some and none can be used."""
        found = self.world.rank == 0 and self.files.load(self.model, self.optimizer, self.average, self._require_own)
        self.position = found or self.position
        self._take_over()
        if self.position.step:
            self.schedule.go_to(self.position.step)
            where = f"epoch {self.position.epoch + 1}, after step {self.position.step}"
        else:
            where = "the beginning, for there is no checkpoint yet"
        if self.position.epoch < self.config.epochs:
            self.console.print(f"going on from {where}")
        if self.world.rank:
            return
        for name, (key, most) in {
            metrics.EPOCHS: ("epoch", self.position.epoch), metrics.STEPS: ("step", self.position.step),
        }.items():  # fmt: skip
            self.files.keep(name, self._shown(name), key, most)

    def _take_over(self) -> None:
        """Go on from where rank 0 is, with its weights and all else that a checkpoint has."""
        self.position = together.take_over(self.world, self.position, self.model, self.optimizer, self.average)

    def _require_own(self, at: Position) -> None:
        """ValueError if this run is never at that position."""
        done = min(at.batch * self.config.batch_size, len(self.train_images))
        steps = at.epoch * self.steps_per_epoch + at.batch
        if (at.images, at.step) != (done, steps) or at.batch > self.steps_per_epoch or at.epoch > self.config.epochs:
            run = f"a run of {self.config.epochs} epochs of {self.steps_per_epoch} steps"
            given = f"epoch {at.epoch}, batch {at.batch}, step {at.step}, {at.images} images"
            raise ValueError(f"position: given {given}, where {run} never is")

    def train(self) -> Evaluation | None:
        """Train to the last epoch; return the last test result, None if nothing was left to do.

        Diverged if the loss is not finite, Stopped if the user interrupts, NotSaved if files lack something at the end;
        the message says what to do next.
        """
        result = None
        self._take_over()
        with interruptible(self._stop_soon):
            while self.position.epoch < self.config.epochs:
                self.train_epoch()
                with self.world.patiently():
                    result = self._finish_epoch()
        self._require_written("the run is at its end")
        return result

    def train_epoch(self) -> None:
        """Train to the end of the current epoch, without the test, the checkpoint and the pictures that end it."""
        at, config = self.position, self.config
        count = len(self.train_images)
        order = epoch_order(count, config.seed, at.epoch)
        title = f"epoch {at.epoch + 1}/{config.epochs}"
        self.model.train()
        loader = batches(
            self.train_images, self.train_labels, config.batch_size, **config.inputs, order=order, start=at.batch,
            views=self._views(count), share=self.world.share,
        )
        watching = self.profiler.watch() if self.profiler else nullcontext()
        with watching, Reporter(self.console, title, self.steps_per_epoch, at.batch, self.log_every) as reporter:
            clock = time.perf_counter()
            for x, y in self._prepared(loader):
                self._step(x, y, min(config.batch_size, count - at.batch * config.batch_size))
                at.batch, at.step = at.batch + 1, at.step + 1
                due = self.checkpoint_every and at.step % self.checkpoint_every == 0
                line = at.batch % self.log_every == 0 or at.batch == self.steps_per_epoch
                if not (line or self.log.full or due or self.stopping):
                    continue
                self._read_log()
                now = time.perf_counter()
                at.seconds, clock = at.seconds + now - clock, now
                reporter.show(
                    at.batch,
                    f"{self._losses()}  accuracy {at.correct / at.images:.4f}  "
                    f"{at.images / at.seconds:.1f} images/s",
                )
                if self.stopping:
                    self._save()
                    self._stop_if_asked()
                if due:
                    self._save()

    def _views(self, count: int) -> Array | None:
        """How the epoch sees the first so many training images; None for as they are."""
        if (augmentation := self.config.augmentation) == Augmentation():
            return None
        _, height, width = self.train_images.shape
        return augmentation.views(count, height, width, self.config.image_size, self.config.seed, self.position.epoch)

    def _part(self, name: str) -> AbstractContextManager[None]:
        return self.profiler.part(name) if self.profiler else nullcontext()

    def _prepared(self, loader: Iterator[tuple[Array, Array]]) -> Iterator[tuple[Array, Array]]:
        """The batches; the time that preparing them takes is a part of its own."""
        while True:
            with self._part("batches"):
                batch = next(loader, None)
            if batch is None:
                return
            yield batch

    def _step(self, x: Array, y: Array, images: int) -> None:
        """One step of the optimiser: (N, C, S, S) images and (N,) labels, of so many in all. What it came to is in the
        log."""
        self._last_batch = x, y, random.get_state(), self.world.share(images).start
        total, heads = self._score()
        self.log.note(self.position.step + 1, self.optimizer.lr, images, y, total, heads)
        self.optimizer.zero_grad()
        if self.gradients:
            # One host may have to compile what another has compiled already.
            with nullcontext() if self._warm else self.world.patiently():
                self.gradients.backward(total.loss, len(y) / images)
            self._warm = True
        else:
            total.loss.backward()
        with self._part("optimizer"):
            self.optimizer.step(self.log.halted)
            if self.average:
                self.average.step(self.log.halted)
        self.schedule.step()

    def _score(self) -> tuple[Scored, dict[str, Scored]]:
        """Forward, on the last batch."""
        x, y, _, first = self._last_batch
        with random.images_from(first):
            return score(self.model(Tensor(x)), y, self.config.label_smoothing)

    def _read_log(self) -> None:
        """Add up and write down the steps since the last time. Diverged if a loss was not finite."""
        at = self.position
        if self.world.size > 1:
            self.world.wait_for(device.finished(self.log.halted), "the others' gradients")
        for record in self.log.read():
            if not math.isfinite(record.loss):
                origin = self._origin()
                together.leave_to_culprit(self.world, record, origin)
                found = origin or "the last batch, tried again, has only finite numbers"
                raise self._diverged(f"the loss is {record.loss}; {found}", record.step, record.rate)
            at.images, at.correct = at.images + record.images, at.correct + record.correct
            at.loss_sum += record.loss * record.images
            for name, loss in record.head_losses.items():
                at.head_sums[name] = at.head_sums.get(name, 0.0) + loss * record.images
            line = {"step": record.step, "loss": record.loss, "accuracy": record.correct / record.images}
            line |= {f"{name}_loss": loss for name, loss in record.head_losses.items()}
            line |= {"lr": record.rate}
            self.files.append(metrics.STEPS, line)
            if self.board:
                self.files.write(tensorboard.NAME, self.board.add, "step", line)
        if self.world.size > 1:
            self.stopping = bool(self.world.maximum(np.array([self.asked_to_stop], np.int8))[0])

    def _losses(self) -> str:
        """The epoch's mean loss so far, and where there are several classifiers, that of each."""
        at = self.position
        heads = ", ".join(f"{name} {total / at.images:.4f}" for name, total in at.head_sums.items())
        return f"loss {at.loss_sum / at.images:.4f}" + (f" ({heads})" if heads else "")

    def _finish_epoch(self) -> Evaluation:
        """Test, record the epoch, draw, and save."""
        self._save()  # so that a run that ends in its test need not train the epoch again
        at = self.position
        for module in self.model.modules():
            if isinstance(module, BatchNorm):  # each rank has those of its own batches
                for buffer in module.buffers():
                    self.world.broadcast(buffer.data)
        began = time.perf_counter()
        results = {self.tested: self._evaluate()}
        if self.average:
            with averaged.averaged(self.model, self.average, self.train_images, self.config, self.world):
                results[self._tests[-1]] = self._evaluate()
                self._guarded(self.files.save_averaged, self.model)
        record: dict[str, Any] = {
            "epoch": at.epoch + 1, "train_loss": at.loss_sum / at.images, "train_accuracy": at.correct / at.images,
        }  # fmt: skip
        record |= {f"train_{name}_loss": total / at.images for name, total in at.head_sums.items()}
        for name, result in results.items():
            if not math.isfinite(result.loss):
                raise self._diverged(f"the {name} loss is {result.loss}", at.step, self.optimizer.lr)
            record |= {f"{name}_loss": result.loss, f"{name}_accuracy": result.accuracy}
        record |= {
            "images_per_second": at.images / at.seconds, "seconds": at.seconds + time.perf_counter() - began,
            "step": at.step,
        }  # fmt: skip
        self.files.append(metrics.EPOCHS, record)
        tests = (f"{n.replace('_', ' ')} loss {r.loss:.4f} accuracy {r.accuracy:.4f}" for n, r in results.items())
        self.console.print(
            f"epoch {at.epoch + 1}: train {self._losses()} accuracy {record['train_accuracy']:.4f}, "
            f"{', '.join(tests)}, {record['seconds']:.0f} s"
        )
        last = [*results.values()][-1]
        self._draw(last)
        at.next_epoch()
        self._save()
        if self.board:
            # After it is saved, or a run that ends in between would add it twice.
            self.files.write(tensorboard.NAME, self.board.add, "epoch", record)
        return last

    @property
    def _tests(self) -> list[str]:
        """What is tested after each epoch, by its name in the metrics."""
        return [self.tested, *([f"averaged_{self.tested}"] if self.average else [])]

    def _shown(self, name: str) -> tuple[str, ...]:
        """What the pictures show of the lines of that file."""
        if name == metrics.STEPS:
            return "step", "loss", "accuracy"
        return "epoch", "step", *(f"{test}_{figure}" for test in self._tests for figure in ("loss", "accuracy"))

    def _draw(self, last: Evaluation) -> None:
        """A picture that cannot be drawn is told of, and costs nothing else."""
        try:
            self.files.write("pictures", self._draw_both, last)
        except ValueError as error:  # of lines that somebody else has written, or that nobody can draw
            self.console.print(f"curves.png is not drawn: {error}")

    def _draw_both(self, last: Evaluation) -> None:
        run = self.files.folder
        steps, epochs = (metrics.read(run / name, *self._shown(name)) for name in (metrics.STEPS, metrics.EPOCHS))
        plots.curves(run / "curves.png", steps, epochs, self._tests)
        plots.confusion(run / "confusion.png", last.confusion, CLASS_NAMES)

    def _evaluate(self) -> Evaluation:
        return evaluate(
            self.model, self.test_images, self.test_labels, self.config, self.console, self.log_every,
            after_batch=self._stop_if_asked, world=self.world,
        )

    def _save(self) -> None:
        together.require_same_weights(self.world, self.model, self.position.step)
        self._guarded(self.files.save, self.model, self.optimizer, self.position, self.average)
        self.files.saved_step = together.of_rank_0(self.world, self.files.saved_step)

    def _guarded(self, save: Callable[..., None], *arguments: Any) -> None:
        """Call `save`. Diverged if a number that it should write is not finite."""
        try:
            save(*arguments)
        except FloatingPointError as error:
            raise self._diverged(str(error), self.position.step, self.optimizer.lr) from None

    def _stop_if_asked(self) -> None:
        """Called where the position is saved."""
        if self.stopping:
            self._require_written(f"stopped after step {self.position.step}")
            raise Stopped(f"stopped after step {self.position.step}, saved in {self.files.checkpoint}")

    def _require_written(self, what: str) -> None:
        """NotSaved, beginning with `what`, if some file lacks what should be in it."""
        if self.board:
            self.files.write(tensorboard.NAME, self.board.flush)
        self.files.require_written(what)

    def _origin(self) -> str | None:
        """Where the last batch first meets a number that is not finite, in words; None if it does not. The weights are
        as they were then: an optimiser that is told of such a loss changes nothing."""
        _, _, masks, _ = self._last_batch
        random.set_state(*masks)
        share_statistics(self.model, None)  # each rank tries its own images
        try:
            with detect_anomaly():
                self._score()
        except AnomalyError as error:
            return str(error)
        return None

    def _diverged(self, what: str, step: int, rate: float) -> Diverged:
        return Diverged(
            f"step {step} (epoch {self.position.epoch + 1}), learning rate {rate:.3g}: "
            f"{what}; {self.files.last_good()}. A lower --lr usually helps"
        )

    def _stop_soon(self) -> None:
        self.asked_to_stop = True
        self.stopping = self.world.size == 1  # or else when all ranks have heard of it
        if self.world.rank == 0:
            say_at_once("\nstopping after this step; once more stops at once")
