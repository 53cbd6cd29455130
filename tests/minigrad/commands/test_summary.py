"""The summary command."""

import re

import numpy as np
import pytest

import googlenet
from googlenet import GoogLeNet
from minigrad import Tensor, functional as F, nn
from minigrad.commands import run
from minigrad.commands.summary import beside_the_paper


def test_it_prints_the_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert googlenet.main(["summary", "--image-size", "224", "--in-channels", "3", "--num-classes", "1000"]) == 0
    text = capsys.readouterr().out
    for part in ("64 x 112 x 112", "192 x 28 x 28", "1024 x 7 x 7", "1024 x 1 x 1", "6,998,552"):
        assert part in text


def test_it_counts_what_does_not_run_in_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    assert googlenet.main(["summary", "--aux"]) == 0
    text = capsys.readouterr().out
    for head in ("aux1", "aux2"):
        (line,) = [line for line in text.splitlines() if head in line]
        assert "not in evaluation" in line
        assert line.split("│")[-2].strip() == "-", "what has not run is not free"
    assert "6,395,598" in text


class Twice(nn.Module):
    """A convolution that runs twice, one that never does, and a factor that is nobody's but the network's."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10, image_size: int = 8) -> None:
        super().__init__()
        self.factor = nn.Parameter(np.ones((3, 3), np.float32))
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.unused = nn.Conv2d(3, 5, 1, bias=False)
        self.fc = nn.Linear(3, num_classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(self.conv(F.cat([x, x, x], 1))))  # (N, 3, 8, 8)
        return self.fc(x.max(3).values.max(2).values @ self.factor)


def test_a_stage_that_runs_twice_has_its_parameters_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Twice, ["summary"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines] == [
        ["conv", "3 x 8 x 8", "9", f"{2 * 9 * 64:,}"],
        ["fc", "10", "30", "30"],
        ["unused", "not in evaluation", "15", "-"],
        ["Twice itself", "10", "9", "9"],
        ["total", "", "63", f"{2 * 9 * 64 + 30 + 9:,}"],
    ]


def test_the_papers_table_is_set_beside(capsys: pytest.CaptureFixture[str]) -> None:
    """The paper's figures once more, and what its channel counts make by hand."""
    blocks = {  # two figures, side, input channels, and filters in the order of Table 1
        "inception3a": ((159, 128), 28, 192, (64, 96, 128, 16, 32, 32)),
        "inception3b": ((380, 304), 28, 256, (128, 128, 192, 32, 96, 64)),
        "inception4a": ((364, 73), 14, 480, (192, 96, 208, 16, 48, 64)),
        "inception4b": ((437, 88), 14, 512, (160, 112, 224, 24, 64, 64)),
        "inception4c": ((463, 100), 14, 512, (128, 128, 256, 24, 64, 64)),
        "inception4d": ((580, 119), 14, 512, (112, 144, 288, 32, 64, 64)),
        "inception4e": ((840, 170), 14, 528, (256, 160, 320, 32, 128, 128)),
        "inception5a": ((1072, 54), 7, 832, (256, 160, 320, 32, 128, 128)),
        "inception5b": ((1388, 71), 7, 832, (384, 192, 384, 48, 128, 128)),
    }
    one, three = 64 * 64, 9 * 64 * 192
    papers = {"conv1": (2.7, 34), "conv2, conv3": (112, 360), "fc": (1000, 1)}
    counted = {"conv1": (7 * 7 * 3 * 64, 112), "conv2, conv3": (one + three, 56), "fc": (1024 * 1000, 1)}
    for name, (figures, side, inputs, (of_1x1, reduce3, of_3x3, reduce5, of_5x5, pooled)) in blocks.items():
        papers[name] = figures
        weights = inputs * (of_1x1 + reduce3 + reduce5 + pooled) + 9 * reduce3 * of_3x3 + 25 * reduce5 * of_5x5
        counted[name] = weights, side

    assert googlenet.main(["summary"]) == 0
    text = capsys.readouterr().out
    rows = {line.split("│")[1].strip(): line.split("│")[2:-1] for line in text.splitlines() if line.startswith("│")}
    for name, (weights, side) in counted.items():
        units = weights / 1024, weights * side**2 / 1e6
        cells = [cell.strip() for cell in rows[name]]
        assert cells == [
            cell for paper, own in zip(papers[name], units, strict=True)
            for cell in (f"{paper:,g}", f"{own:,.1f}", f"{paper / own - 1:+.1%}")
        ]  # fmt: skip


def test_the_remarks_on_the_papers_table_are_true(capsys: pytest.CaptureFixture[str]) -> None:
    lines, remarks = beside_the_paper(GoogLeNet)
    assert googlenet.main(["summary"]) == 0
    assert capsys.readouterr().out.endswith("\n".join([*remarks, ""]))
    of_conv1, of_products, of_both, of_rest = remarks
    (rounding,) = map(float, re.findall(r"within ([\d.]+) %", of_rest))
    separable = 7 * 7 * 3 * 8 + 3 * 8 * 64
    assert f"{7 * 7 * 3 * 64:,} weights" in of_conv1
    assert f"{separable:,} weights, {separable * 112 * 112 / 1e6:.1f} million multiply-adds" in of_conv1

    def blocks(remark: str) -> list[str]:
        return re.findall(r"[345][a-e]", remark)

    products_follow, fit_each_other = [], []
    for name, (papers, counted), (papers_products, products) in lines:
        if 100 * abs(papers / counted - 1) > rounding and name != "conv1":
            block = name.removeprefix("inception")
            side = {"3": 28, "4": 14, "5": 7}[block[0]]
            if abs(papers_products - products) <= 0.5:
                products_follow.append(block)
            elif abs(papers_products - papers * 1024 * side**2 / 1e6) <= 0.5:
                fit_each_other.append(block)
    assert (blocks(of_products), blocks(of_both)) == (products_follow, fit_each_other)
