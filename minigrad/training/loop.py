"""The training loop: forward, backward, step, and all around it that keeps a run safe."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

import kernels
from kernels.layout import Array
from minigrad import device, functional as F
from minigrad.data import CLASS_NAMES, FashionMNIST, batches, epoch_order
from minigrad.nn import Module
from minigrad.profiler import Profiler
from minigrad.tensor import Tensor
from minigrad.training import checkpoint, metrics, plots
from minigrad.training.checkpoint import Position
from minigrad.training.config import Config
from minigrad.training.evaluation import Evaluation, evaluate
from minigrad.training.progress import Reporter
from minigrad.training.step_log import StepLog


class Diverged(RuntimeError):  # noqa: N818  (what happened, not what went wrong in the code)
    """The loss or a weight is no longer finite."""


class Stopped(RuntimeError):  # noqa: N818
    """The user has stopped the run, which is saved."""


class Trainer:
    """One run in one folder: trains the model by `config`, from the beginning or from where a checkpoint was.

    It trains on the device that the model is on, and keeps all images there.

    checkpoint_every: save after so many steps too, not only after each epoch; 0 for epochs only.
    log_every: without a terminal, a line of progress each so many steps. On a GPU nobody looks at the losses, and so
    nobody waits for them, in between.
    profiler: watches the training epochs, but not the tests.
    """

    def __init__(
        self, model: Module, data: FashionMNIST, config: Config, run: Path, console: Console, log_every: int = 10,
        checkpoint_every: int = 0, profiler: Profiler | None = None,
    ) -> None:
        self.model, self.config, self.run, self.console = model, config, run, console
        weight = next(model.parameters()).data
        self.train_images = device.beside(weight, data.train_images[: config.train_limit])
        self.train_labels = device.beside(weight, data.train_labels[: config.train_limit])
        self.test_images = device.beside(weight, data.test_images[: config.test_limit])
        self.test_labels = device.beside(weight, data.test_labels[: config.test_limit])
        self.log_every, self.checkpoint_every, self.profiler = log_every, checkpoint_every, profiler
        self.optimizer = config.build_optimizer(model)
        self.steps_per_epoch = -(-len(self.train_images) // config.batch_size)
        self.log = StepLog(weight, min(log_every, self.steps_per_epoch) if kernels.is_on_card(weight) else 1)
        self.schedule = config.build_schedule(self.optimizer, self.steps_per_epoch)
        self.position = Position()
        self.stopping = False

    @property
    def checkpoint(self) -> Path:
        return self.run / checkpoint.NAME

    def resume(self) -> None:
        """Go on from the run's checkpoint; without one, from the beginning. CheckpointError if it does not fit."""
        if self.checkpoint.exists():
            self.position = checkpoint.load(self.checkpoint, self.model, self.optimizer)
            self.schedule.go_to(self.position.step)
            where = f"epoch {self.position.epoch + 1}, after step {self.position.step}"
        else:
            where = "the beginning, for there is no checkpoint yet"
        self.console.print(f"going on from {where}")
        metrics.keep(self.run / metrics.EPOCHS, "epoch", self.position.epoch)
        metrics.keep(self.run / metrics.STEPS, "step", self.position.step)

    def train(self) -> Evaluation | None:
        """Train to the last epoch; return the last test result, None if nothing was left to do.

        Diverged if the loss is not finite, Stopped if the user interrupts; the message says what to do next.
        """
        result = None
        with self._interruptible():
            while self.position.epoch < self.config.epochs:
                self.train_epoch()
                result = self._finish_epoch()
        return result

    def train_epoch(self) -> None:
        """Train to the end of the current epoch, without the test, the checkpoint and the pictures that end it."""
        at, config = self.position, self.config
        order = epoch_order(len(self.train_images), config.seed, at.epoch)
        title = f"epoch {at.epoch + 1}/{config.epochs}"
        self.model.train()
        loader = batches(
            self.train_images, self.train_labels, config.batch_size, config.image_size, config.in_channels,
            order=order, start=at.batch,
        )
        watching = self.profiler.watch() if self.profiler else nullcontext()
        with watching, Reporter(self.console, title, self.steps_per_epoch, at.batch, self.log_every) as reporter:
            clock = time.perf_counter()
            for x, y in self._prepared(loader):
                self._step(x, y)
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
                    f"loss {at.loss_sum / at.images:.4f}  accuracy {at.correct / at.images:.4f}  "
                    f"{at.images / at.seconds:.1f} images/s",
                )
                if self.stopping:
                    self._save()
                    self._stop_if_asked()
                if due:
                    self._save()

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

    def _step(self, x: Array, y: Array) -> None:
        """One step of the optimiser: (N, C, S, S) images and (N,) labels. What it came to is in the log."""
        logits = self.model(Tensor(x))
        loss = F.cross_entropy(logits, y)
        self.log.note(self.position.step + 1, self.optimizer.lr, logits.data, y, loss.data)
        self.optimizer.zero_grad()
        loss.backward()
        with self._part("optimizer"):
            self.optimizer.step(self.log.halted)
        self.schedule.step()

    def _read_log(self) -> None:
        """Add up and write down the steps since the last time. Diverged if a loss was not finite."""
        at = self.position
        for record in self.log.read():
            if not math.isfinite(record.loss):
                raise self._diverged(f"the loss is {record.loss}", record.step, record.rate)
            at.images, at.correct = at.images + record.images, at.correct + record.correct
            at.loss_sum += record.loss * record.images
            line = {"step": record.step, "loss": record.loss, "accuracy": record.correct / record.images}
            metrics.append(self.run / metrics.STEPS, line | {"lr": record.rate})

    def _finish_epoch(self) -> Evaluation:
        """Test, record the epoch, draw, and save."""
        self._save()  # so that a run that ends in its test need not train the epoch again
        at = self.position
        began = time.perf_counter()
        result = evaluate(
            self.model, self.test_images, self.test_labels, self.config, self.console, self.log_every,
            after_batch=self._stop_if_asked,
        )
        record: dict[str, Any] = {
            "epoch": at.epoch + 1,
            "train_loss": at.loss_sum / at.images,
            "train_accuracy": at.correct / at.images,
            "test_loss": result.loss,
            "test_accuracy": result.accuracy,
            "images_per_second": at.images / at.seconds,
            "seconds": at.seconds + time.perf_counter() - began,
            "step": at.step,
        }
        metrics.append(self.run / metrics.EPOCHS, record)
        self.console.print(
            f"epoch {at.epoch + 1}: train loss {record['train_loss']:.4f} accuracy {record['train_accuracy']:.4f}, "
            f"test loss {result.loss:.4f} accuracy {result.accuracy:.4f}, {record['seconds']:.0f} s"
        )
        at.next_epoch()
        self._save()
        steps, epochs = (metrics.read(self.run / name) for name in (metrics.STEPS, metrics.EPOCHS))
        plots.curves(self.run / "curves.png", steps, epochs)
        plots.confusion(self.run / "confusion.png", result.confusion, CLASS_NAMES)
        return result

    def _save(self) -> None:
        try:
            checkpoint.save(self.checkpoint, self.model, self.optimizer, self.position)
        except FloatingPointError as error:
            raise self._diverged(str(error), self.position.step, self.optimizer.lr) from None

    def _stop_if_asked(self) -> None:
        """Called where the position is saved."""
        if self.stopping:
            raise Stopped(f"stopped after step {self.position.step}, saved in {self.checkpoint}")

    def _diverged(self, what: str, step: int, rate: float) -> Diverged:
        good = f"the last good checkpoint is {self.checkpoint}" if self.checkpoint.exists() else "nothing was saved yet"
        return Diverged(
            f"step {step} (epoch {self.position.epoch + 1}), learning rate {rate:.3g}: "
            f"{what}; {good}. A lower --lr usually helps"
        )

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C, or a polite kill, ends the run after the current step; a second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread can be told of signals
            return

        def stop(number: int, frame: FrameType | None) -> None:
            self.stopping = True
            signal.signal(number, previous[number])
            self.console.print("\nstopping after this step; once more stops at once")

        previous: dict[int, Any] = {
            number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
