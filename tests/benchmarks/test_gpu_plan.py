"""What training costs a card on paper, and that it is not too much."""

import pytest

from benchmarks import gpu_plan
from benchmarks.__main__ import main
from benchmarks.gpu_plan import OWN, Plan, Work
from googlenet import GoogLeNet
from tests import on_card

pytestmark = on_card.NEEDS_GPP


@pytest.fixture(scope="module")
def planned() -> Plan:
    """The usual recipe on 128 images of 96x96."""
    return gpu_plan.plan(128, 96)


def test_few_launches_and_one_wait(planned: Plan) -> None:
    assert planned.launches / gpu_plan.STEPS <= 450
    assert planned.synchronisations == 1


def test_the_images_lie_on_the_card_already(planned: Plan) -> None:
    """Only the order in which the epoch visits them is copied: 8 bytes an image, once."""
    assert planned.to_device == [8 * 128 * gpu_plan.STEPS]


def test_large_images_fit_into_8_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_plan, "STEPS", 2)
    everything = gpu_plan.plan(128, 224)
    images = gpu_plan.IMAGES * 28 * 28
    assert 1e9 + images < everything.peak < 8e9


def test_every_kernel_is_counted_for_what_it_launched(planned: Plan) -> None:
    """The counts of calls are those of the network's operations (test_kernels.py counts them another way)."""
    calls = {kernel: work.calls / gpu_plan.STEPS for kernel, work in planned.kernels.items() if work.calls}
    assert calls["conv2d"] == 57
    assert calls["pointwise_backward"] == 1 + 9 * 2
    assert calls["cat"] == calls["split"] == 9
    assert calls["adam_step"] == calls["note_step"] == calls["resize_bilinear"] == 1
    assert 0 < planned.kernels[OWN].launches < 15 * gpu_plan.STEPS


def test_no_kernel_moves_less_than_it_must(planned: Plan) -> None:
    """Otherwise the stand-in overlooks something; those that only pass over their arrays move just that."""
    ratios = {kernel: work.moved / work.fewest for kernel, work in planned.kernels.items() if work.fewest}
    assert min(ratios.values()) > 0.99  # note_step writes a record that it does not read
    for kernel in ("cat", "split", "adam_step", "max_pool2d", "max_pool2d_backward", "dropout", "resize_bilinear"):
        assert ratios[kernel] == pytest.approx(1, abs=0.001)
    assert ratios["conv2d"] > 2  # the columns


def test_adam_reads_four_arrays_and_writes_three(planned: Plan) -> None:
    parameters = sum(parameter.data.size for parameter in GoogLeNet(num_classes=10).parameters())
    assert planned.kernels["adam_step"].moved / gpu_plan.STEPS == pytest.approx(7 * 4 * parameters, rel=1e-6)


def test_what_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    works = {"relu": Work(100, 200, int(5e9), int(2.5e9)), OWN: Work(0, 50, int(1e6), 0), "pad": Work()}
    monkeypatch.setattr(gpu_plan, "plan", lambda images, size: Plan(works, 1, [51200], 3 << 20))
    assert main(["gpu-plan", "--batch-size", "2", "--image-size", "32", "--bandwidth", "1000"]) == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for part in (
        "launches a step: 5.0", "waits for the card in 50 steps: 1", "copies to the card in 50 steps: 1, of 51,200 ",
        "most memory in arrays: 3 MiB", "on paper, batch 2, 32x32", "relu 2 4 100.00 50.00 2.00 0.100",
        f"{OWN} - 1 0.02 - - 0.000", "all - 5 100.02 - - 0.100", "at 1,000 GB/s;",
    ):  # fmt: skip
        assert part in printed
    assert "pad" not in printed
    assert gpu_plan.CARD not in printed


def test_the_default_bandwidth_says_whose_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_plan, "plan", lambda images, size: Plan({}, 0, [], 0))
    main(["gpu-plan"])
    assert f"1,008 GB/s, which the data sheet of a {gpu_plan.CARD}" in " ".join(capsys.readouterr().out.split())


def test_without_a_compiler(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_plan.shutil, "which", lambda name: None)
    assert main(["gpu-plan"]) == 1
    assert capsys.readouterr().err == (
        "error: gpu-plan compiles the kernels by g++, which it does not find; install g++\n"
    )
