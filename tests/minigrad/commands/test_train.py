"""The train command, from its command line to the files of a run."""

import io
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minigrad import functional
from minigrad.array_files import load_arrays, save_arrays
from minigrad.commands import run
from minigrad.data import FashionMNIST
from minigrad.training import checkpoint, loop
from minigrad.training.progress import Reporter
from minigrad.training.run_files import alone_in
from tests.minigrad.same_run import assert_same_run, lines, weights
from tests.small_net import SmallNet

ROOT = Path(__file__).parents[3]
OPTIONS = ("--device", "cpu", "--image-size", "28", "--batch-size", "40", "--test-limit", "100", "--epochs", "1")
FILES = {
    "config.json", "metrics.jsonl", "steps.jsonl", "curves.png", "confusion.png", "checkpoint.safetensors",
    "previous.safetensors",
}  # fmt: skip
FILES_READ = {"checkpoint.safetensors", "previous.safetensors", "averaged.safetensors", "metrics.jsonl", "steps.jsonl"}

pytestmark = pytest.mark.usefixtures("cut_data")


def train(out: Path, *options: str, builder: type = SmallNet) -> int:
    return run(builder, [*OPTIONS, "--out", str(out), *options])


def test_a_run_learns_and_leaves_its_files(
    pictures: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(out, "--epochs", "6", "--lr", "0.01") == 0
    assert {path.name for path in out.iterdir()} == FILES
    epochs = lines(out / "metrics.jsonl")
    assert [record["epoch"] for record in epochs] == [1, 2, 3, 4, 5, 6]
    names = "epoch train_loss train_accuracy test_loss test_accuracy images_per_second seconds step"
    assert all(list(record) == names.split() for record in epochs)
    assert epochs[-1]["train_loss"] < 0.6 * epochs[0]["train_loss"]
    assert epochs[-1]["test_accuracy"] > 0.6
    assert len(lines(out / "steps.jsonl")) == 60
    for picture in out.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "epoch 6/6  10/10  loss" in text
    assert "images/s  left 0:00:00" in text
    assert "test accuracy" not in text
    assert "test loss" in text


def test_the_figures_are_those_of_the_model(tmp_path: Path, cut_data: FashionMNIST) -> None:
    """Recomputed here from the saved weights, without the code that wrote them."""
    from minigrad import Tensor
    from minigrad.data import prepare

    out = tmp_path / "run"
    train(out, "--epochs", "1")
    model = SmallNet(1, 10, 28).eval()
    model.load_state_dict({k.removeprefix("model."): v for k, v in weights(out).items() if k.startswith("model.")})
    logits = model(Tensor(prepare(cut_data.test_images[:100], 28))).numpy().astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = cut_data.test_labels[:100]
    (record,) = lines(out / "metrics.jsonl")
    assert record["test_loss"] == pytest.approx(-np.log(probabilities[np.arange(100), labels]).mean(), rel=1e-5)
    assert record["test_accuracy"] == (logits.argmax(axis=1) == labels).mean()
    steps = lines(out / "steps.jsonl")
    assert record["train_loss"] == pytest.approx(np.mean([step["loss"] for step in steps]))
    assert record["train_accuracy"] == pytest.approx(np.mean([step["accuracy"] for step in steps]))


def test_the_same_seed_gives_the_same_run_and_another_one_another(tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        train(tmp_path / name, "--epochs", "1", "--seed", seed)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert lines(tmp_path / "a" / "steps.jsonl") != lines(tmp_path / "c" / "steps.jsonl")


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("after", [1, 4, 10, 13])
def test_a_resumed_run_ends_with_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], after: int, optimizer: str
) -> None:
    """Stopped before the first checkpoint, inside an epoch and between two, with lines in the metrics that its last
    checkpoint does not cover."""
    options = ("--epochs", "2", "--checkpoint-every", "2", "--optimizer", optimizer)
    train(tmp_path / "whole", *options)
    count = 0

    def crash(*arguments: object, **keywords: object) -> object:
        nonlocal count
        count += keywords.get("reduction") is None
        if count > after:
            raise RuntimeError("pulled the plug")
        return cross_entropy(*arguments, **keywords)

    cross_entropy = functional.cross_entropy
    with monkeypatch.context() as patch:
        patch.setattr(functional, "cross_entropy", crash)
        with pytest.raises(RuntimeError, match="pulled the plug"):
            train(tmp_path / "parts", *options)
    capsys.readouterr()
    assert run(SmallNet, ["--device", "cpu", "--resume", str(tmp_path / "parts")]) == 0
    said = "going on from the beginning, for there is no checkpoint yet"
    assert (said in capsys.readouterr().out) == (after < 2)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_finished_run_resumes_to_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run", "--epochs", "1")
    before = (tmp_path / "run" / checkpoint.NAME).read_bytes()
    assert run(SmallNet, ["--device", "cpu", "--resume", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "finished already" in said
    assert "going on" not in said
    assert (tmp_path / "run" / checkpoint.NAME).read_bytes() == before


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path) -> None:
    """In a process of its own, as a user would stop it."""
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\nfrom minigrad.commands import run\nfrom minigrad.data import fashion_mnist\n"
        "from tests import cut\nfrom tests.small_net import SmallNet\n"
        "fashion_mnist.FILES = cut.FILES\nsys.exit(run(SmallNet, sys.argv[1:]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def command(*options: str) -> list[str]:
        return [sys.executable, str(script), *options]

    out = tmp_path / "run"
    options = (*OPTIONS, "--epochs", "4", "--checkpoint-every", "3")
    steps = out / "steps.jsonl"
    started = command(*options, "--out", str(out))
    pipe = subprocess.PIPE
    with subprocess.Popen(started, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        while not steps.exists() or steps.stat().st_size < 300:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        text, aside = process.communicate(timeout=60)
    assert process.returncode == 130
    assert aside == "\nstopping after this step; once more stops at once\n"
    hint = shlex.split(text.partition("go on with: ")[2])
    assert hint[1:] == [str(script), "--resume", str(out), "--device", "cpu", "--checkpoint-every", "3"]
    for rest in (hint, command(*options, "--out", str(tmp_path / "whole"))):
        subprocess.run(rest, env=environment, stdout=subprocess.DEVNULL, check=True, timeout=120)
    assert_same_run(out, tmp_path / "whole")


@pytest.mark.parametrize("when", ["epoch", "test"])
def test_a_stop_takes_effect_in_training_and_in_testing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The signal comes from inside the process, so that it meets the phase that it is meant for."""
    train(tmp_path / "whole", "--epochs", "2")
    show = Reporter.show

    def interrupt(self: Reporter, done: int, text: str) -> None:
        show(self, done, text)
        if self.title.startswith(when):
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "show", interrupt)
        assert train(tmp_path / "parts", "--epochs", "2") == 130
    assert not (tmp_path / "parts" / "metrics.jsonl").exists()
    assert len(lines(tmp_path / "parts" / "steps.jsonl")) == {"epoch": 1, "test": 10}[when]
    assert run(SmallNet, ["--device", "cpu", "--resume", str(tmp_path / "parts")]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_ctrl_c_may_come_while_a_line_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(io.RawIOBase):
        """A slow terminal: the user loses patience while it takes the first line."""

        patient = True

        def writable(self) -> bool:
            return True

        def write(self, content: Any) -> int:
            if self.patient:
                self.patient = False
                signal.raise_signal(signal.SIGINT)
            return len(content)

    def show(self: Reporter, done: int, text: str) -> None:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(Interrupting())))
        reported(self, done, text)

    reported = Reporter.show
    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "show", show)
        assert train(tmp_path / "run", "--log-every", "1") == 130
    assert len(lines(tmp_path / "run" / "steps.jsonl")) == 1


def test_a_second_ctrl_c_ends_the_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Reporter, done: int, text: str) -> None:
        for _ in range(2):  # in this thread: two that are sent to the process may become one
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Reporter, "show", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # programs in the background may ignore it
    try:
        assert train(tmp_path / "run", "--epochs", "1") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    assert not (tmp_path / "run" / checkpoint.NAME).exists()


def test_an_unknown_backend_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("kernels.backend.current", lambda: "numpy")
    assert run(SmallNet, ["--device", "cpu"]) == 1
    assert capsys.readouterr().err.startswith("error: MINIGRAD_BACKEND: given 'numpy', expected one of")


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path / "run", "--epochs", "3", "--optimizer", "sgd", "--lr", "1e30") == 1
    message = capsys.readouterr().err
    assert "epoch 1" in message
    assert "learning rate" in message
    assert "nothing was saved yet" in message
    assert re.search(r"the loss is (nan|inf); <\w+ in (conv1|conv2|fc)>: forward ", message), message


def test_a_run_that_diverges_later_names_its_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    rates = iter([0.01] * 12 + [1e30] * 20)
    monkeypatch.setattr("minigrad.optim.WarmUp.rate", lambda self, step: next(rates))
    assert train(out, "--epochs", "3", "--optimizer", "sgd") == 1
    message = capsys.readouterr().err
    assert f"the last good checkpoint is {out / checkpoint.NAME}" in message
    assert "step 14 (epoch 2), learning rate 1e+30" in message
    assert re.search(r"; <\w+ in (conv1|conv2|fc)>: forward (made|was given) [\d,]+ (NaN|infinite)", message), message
    assert all(np.isfinite(array).all() for array in weights(out).values())


def test_a_test_loss_that_is_not_finite_stops_the_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated = loop.evaluate

    def broken(*arguments: Any, **options: Any) -> Any:
        return replace(evaluated(*arguments, **options), loss=math.inf)

    monkeypatch.setattr(loop, "evaluate", broken)
    assert train(tmp_path / "run", "--epochs", "3") == 1
    message = capsys.readouterr().err
    assert "(epoch 1)" in message
    assert "the test loss is inf; the last good checkpoint is" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "argument --epochs: given '0', expected an integer of at least 1"),
        (["--lr", "-1"], "argument --lr: given '-1', expected a number above 0"),
        (["--lr", "nan"], "argument --lr: given 'nan'"),
        (["--momentum", "2"], "argument --momentum: given '2', expected a number from 0 to 1"),
        (["--seed", str(2**64)], "--seed: given '18446744073709551616', expected an integer of at least 0 and"),
        (["--optimizer", "adagrad"], "argument --optimizer: invalid choice"),
        (["--device", "tpu"], "argument --device: given 'tpu', expected auto, cpu, gpu, or"),
        (["--threads", "0"], "argument --threads: given '0', expected an integer of at least 1"),
        (["--threads", "1000000"], "argument --threads: given '1000000', expected at most"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--resume", "x", "--epochs", "3"], "not allowed beside it: --epochs"),
        (["--resume", "x", "--out", "y"], "not allowed beside it: --out"),
    ],
)
def test_bad_options_are_refused(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run(SmallNet, ["--device", "cpu", *options])
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run", "--epochs", "1")
    before = (tmp_path / "run" / checkpoint.NAME).read_bytes()
    with pytest.raises(SystemExit):
        train(tmp_path / "run", "--epochs", "1")
    assert "holds a run already" in capsys.readouterr().err
    assert (tmp_path / "run" / checkpoint.NAME).read_bytes() == before


@pytest.mark.parametrize("name", ["config.json", *sorted(FILES_READ)])
def test_nor_is_what_is_left_of_one(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be taken for this run's."""
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(SystemExit):
        train(tmp_path)
    assert f"holds a run already, or what is left of one, {name}" in capsys.readouterr().err


def test_a_run_that_ends_in_its_pictures_is_tested_and_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    drawn: list[Path] = []
    with monkeypatch.context() as patch:
        patch.setattr(loop.plots, "curves", interrupted)
        assert train(tmp_path / "run") == 130
    monkeypatch.setattr(loop.plots, "curves", lambda path, *_: drawn.append(path))
    assert run(SmallNet, ["--device", "cpu", "--resume", str(tmp_path / "run")]) == 0
    assert drawn == [tmp_path / "run" / "curves.png"]
    train(tmp_path / "whole")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_what_cannot_be_resumed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SmallNet, ["--device", "cpu", "--resume", str(tmp_path)]) == 1
    assert "expected the folder of a training run" in capsys.readouterr().err

    class OtherNet(SmallNet):
        pass

    train(tmp_path / "run", "--epochs", "1")
    assert run(OtherNet, ["--device", "cpu", "--resume", str(tmp_path / "run")]) == 1
    assert "the run is of a 'SmallNet', expected a OtherNet" in capsys.readouterr().err


def test_missing_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path / "run", "--data-dir", str(tmp_path)) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert "train-images-idx3-ubyte.gz" in message
    assert not (tmp_path / "run").exists()


def test_a_profile_changes_no_bit_and_leaves_out_the_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GoogLeNet, because its branches add their gradients up in place."""
    import googlenet

    options = [*OPTIONS, "--image-size", "32", "--batch-size", "8", "--train-limit", "16", "--test-limit", "8"]
    assert googlenet.main([*options, "--out", str(tmp_path / "plain")]) == 0
    assert "Conv2d" not in capsys.readouterr().out
    assert googlenet.main([*options, "--profile", "--out", str(tmp_path / "profiled")]) == 0
    assert_same_run(tmp_path / "plain", tmp_path / "profiled")
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines()]
    calls = {cells[1].strip(): cells[5] for cells in rows if len(cells) > 5}
    assert int(calls["Conv2d 7x7"]) == int(calls["Linear"]) == int(calls["optimizer"]) == 2  # steps, and no test
    assert int(calls["Conv2d 3x3"]) == 2 * 10
    assert int(calls["batches"]) == 3  # the last look finds that there are no more


def test_a_profile_is_shown_after_ctrl_c_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show = Reporter.show

    def interrupt(self: Reporter, done: int, text: str) -> None:
        show(self, done, text)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Reporter, "show", interrupt)
    assert train(tmp_path / "run", "--profile") == 130
    text = capsys.readouterr().out
    assert "time of the training steps" in text
    assert "Conv2d 5x5" in text
    assert "--profile" in text.partition("go on with:")[2]


def test_threads_are_limited_while_it_trains_and_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")
    before, seen = numba.get_num_threads(), set()
    show = Reporter.show

    def note(self: Reporter, done: int, text: str) -> None:
        show(self, done, text)
        seen.add((self.title.split()[0], numba.get_num_threads()))

    monkeypatch.setattr(Reporter, "show", note)
    assert train(tmp_path / "run", "--threads", "1") == 0
    options = ["--test-limit", "10", "--threads", "1", "--device", "cpu"]
    assert run(SmallNet, ["evaluate", str(tmp_path / "run"), *options]) == 0
    assert seen == {("epoch", 1), ("test", 1)}
    assert numba.get_num_threads() == before


def test_googlenet_itself_trains_from_its_command_line(pictures: None, tmp_path: Path) -> None:
    import googlenet

    options = [*OPTIONS, "--image-size", "32", "--batch-size", "16", "--train-limit", "32", "--test-limit", "16"]
    assert googlenet.main([*options, "--out", str(tmp_path / "run")]) == 0
    assert {path.name for path in (tmp_path / "run").iterdir()} == FILES
    assert googlenet.main(["evaluate", str(tmp_path / "run"), "--test-limit", "16", "--device", "cpu"]) == 0


@pytest.mark.parametrize(
    "changed",
    [{"batch": 50, "step": 50, "images": 400}, {"step": 2**60}, {"epoch": 7, "step": 70}, {"batch": 1, "images": 3}],
)
def test_a_place_where_this_run_never_is_is_refused(
    tmp_path: Path, changed: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(out, "--epochs", "2") == 0
    arrays, header = load_arrays(out / checkpoint.NAME)
    run_state = json.loads(header.pop(checkpoint.HEADER))
    run_state["position"] |= {"seconds": 1.0, "epoch": 0, **changed}
    (out / checkpoint.PREVIOUS).unlink()
    save_arrays(out / checkpoint.NAME, arrays, {checkpoint.HEADER: json.dumps(run_state)})
    assert run(SmallNet, ["--device", "cpu", "--resume", str(out)]) == 1
    message = capsys.readouterr().err
    assert "its header does not tell where the run was" in message
    assert "never is" in message or "contradict each other" in message


def test_a_weight_that_is_not_finite_is_never_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = loop.Trainer._step

    def spoiling(trainer: loop.Trainer, *batch: Any) -> None:
        step(trainer, *batch)
        if trainer.position.step == 3:
            trainer.model.fc.bias.data[0] = np.inf  # type: ignore[union-attr]

    monkeypatch.setattr(loop.Trainer, "_step", spoiling)
    out = tmp_path / "run"
    assert train(out, "--checkpoint-every", "2") == 1
    message = capsys.readouterr().err
    assert "model.fc.bias is not finite; the last good checkpoint is" in message
    assert "of step 2" in message
    assert all(np.isfinite(array).all() for array in weights(out).values())


@pytest.mark.parametrize("link", ["metrics.jsonl", "confusion.png", "explained/index.html"])
def test_nothing_is_written_through_a_link_in_a_run(
    tmp_path: Path, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, mine = tmp_path / "run", tmp_path / "mine"
    assert train(out, "--epochs", "2") == 0
    mine.write_text("precious")
    (out / link).unlink(missing_ok=True)
    (out / link).parent.mkdir(exist_ok=True)
    (out / link).symlink_to(mine)
    assert run(SmallNet, ["--device", "cpu", "--resume", str(out)]) == 1
    assert f"{out / link}: Is a link, and what is written there would go elsewhere" in capsys.readouterr().err
    assert mine.read_text() == "precious"


@pytest.mark.parametrize("there", [True, False])
def test_a_new_run_writes_through_no_link_either(
    tmp_path: Path, there: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    out, mine = tmp_path / "run", tmp_path / "mine"
    out.mkdir()
    if there:
        mine.write_text("precious")
    (out / "confusion.png").symlink_to(mine)
    assert train(out) == 1
    error = capsys.readouterr().err
    assert "Is a link, and what is written there would go elsewhere" in error
    assert str(out / "confusion.png") in error
    assert (mine.read_text() if mine.exists() else None) == ("precious" if there else None)
    assert not (out / "config.json").exists()


def test_two_runs_do_not_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with alone_in(out):
        assert train(out) == 1
        assert f"{out}: another run is at work in this folder" in capsys.readouterr().err
        assert list(out.iterdir()) == []
    assert train(out) == 0
    with alone_in(out):
        assert run(SmallNet, ["--device", "cpu", "--resume", str(out)]) == 1


def test_a_run_that_has_begun_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the first look into the folder and the lock."""
    out = tmp_path / "run"

    class Slow(loop.Trainer):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            out.mkdir()
            (out / "config.json").write_text("another's")

    monkeypatch.setattr("minigrad.commands.train.Trainer", Slow)
    assert train(out) == 1
    assert "another run has begun in this folder meanwhile" in capsys.readouterr().err
    assert (out / "config.json").read_text() == "another's"


@pytest.mark.parametrize("line", ['{"step": 1}', "{no", '{"step": 1, "loss": "x", "accuracy": 1}'])
def test_a_damaged_file_of_metrics_is_set_aside(
    tmp_path: Path, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train(out, "--epochs", "2") == 0
    with (out / "steps.jsonl").open("a") as file:
        file.write(line + "\n")
    assert run(SmallNet, ["--device", "cpu", "--resume", str(out)]) == 0
    assert f"it is set aside as {out / 'steps.damaged'}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("pictures")
def test_curves_that_cannot_be_drawn_cost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("arange: cannot compute length")

    monkeypatch.setattr("minigrad.training.plots.curves", fail)
    out = tmp_path / "run"
    assert train(out, "--epochs", "1") == 0
    assert "curves.png is not drawn: arange: cannot compute length" in capsys.readouterr().out
    assert lines(out / "metrics.jsonl")


def test_full_memory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError("Unable to allocate 945 MiB")

    monkeypatch.setattr("minigrad.training.config.Config.build_model", fail)
    assert train(tmp_path / "run") == 1
    assert capsys.readouterr().err == "error: memory is full. Unable to allocate 945 MiB\n"


def test_names_with_a_terminals_commands_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(SmallNet, ["--device", "cpu", "--out", "\x1b[2J"])
    assert r"--out: given '\x1b[2J', expected a name of characters that can be printed" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(SmallNet, ["evaluate", "runs", "--gallery", "\x1b[2J.png"])
    assert r"--gallery: given '\x1b[2J.png', expected a name of characters that can" in capsys.readouterr().err
