"""Calls of every kernel of the table on small arrays of drawn shapes, for checks that look at how a kernel runs and not
at what it computes (which the tests of tests/kernels do).

    python -m tests.kernels.cuda.samples [KERNEL...]      # on the stand-in; MINIGRAD_SANITIZER chooses its build
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

import kernels
from kernels.geometry import output_size, span
from tests import on_card

DTYPES = (np.float32, np.float64)
DRAWS = 6


def samples(kernel: str, dtype: Any, draws: int = DRAWS) -> Iterator[tuple[Any, ...]]:
    """Arguments for some calls of a kernel, the same on every run. Those of even number have widths that make up packs,
    the others odd ones; and one of these has rare arguments."""
    for draw in range(draws):
        rng = np.random.default_rng([draw, len(kernel), *kernel.encode()])
        yield Drawn(rng, dtype, draw).arguments(kernel)


class Drawn:
    """One draw of sizes, and arrays made of them."""

    def __init__(self, rng: np.random.Generator, dtype: Any, draw: int) -> None:
        self.rng, self.dtype, plain = rng, dtype, draw % 2 == 0
        self.packs, self.rare = plain, draw == 3
        self.unit = np.dtype(dtype if plain else ("int32", "uint8", "int64")[draw // 2 % 3])
        self.n, self.channels = self.number(1, 3), 4 * self.number(1, 3) if plain else 2 * self.number(0, 4) + 1
        self.filters = 4 * self.number(1, 10) if plain else 2 * self.number(0, 19) + 1
        self.kernel, self.stride, self.dilation = self.pair(1, 3), self.pair(1, 3), self.pair(1, 2)
        self.padding = (self.pair(0, 1), self.pair(0, 1))
        self.size = tuple(
            max(1, span(self.kernel[axis], self.dilation[axis]) - sum(self.padding[axis])) + self.number(0, 6)
            for axis in (0, 1)
        )
        self.outputs = output_size(self.size, self.kernel, self.stride, self.padding, self.dilation)
        self.window = (self.stride, self.padding, self.dilation)

    def number(self, least: int, most: int) -> int:
        return int(self.rng.integers(least, most + 1))

    def pair(self, least: int, most: int) -> tuple[int, int]:
        return self.number(least, most), self.number(least, most)

    def array(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def arguments(self, kernel: str) -> tuple[Any, ...]:
        n, c, o, (h, w), (oh, ow) = self.n, self.channels, self.filters, self.size, self.outputs
        image = self.array(n, h, w, c)
        taps = self.kernel
        rows, classes = self.number(1, 70), self.number(2, 70)
        logits, target = self.array(rows, classes), self.rng.integers(0, classes, rows)
        average = output_size(self.size, taps, self.stride, self.padding, (1, 1))
        winner = self.rng.integers(0, taps[0] * taps[1], (n, oh, ow, c)).astype(np.uint8)
        statistics = (self.array(c), np.abs(self.array(c)) + 1)
        halted = np.zeros(1, np.int64)
        params = [self.array(self.number(1, 9), self.number(1, 9)) for _ in range(self.number(1, 5))]
        like = [[self.array(*p.shape) for p in params] for _ in range(3)]
        members = [self.number(1, 5) * (4 if self.packs else 1) for _ in range(self.number(1, 10))]
        labels = target if not self.rare else np.abs(self.array(rows, classes))  # numbers, or probabilities
        large, largest = ((16, 17), winner.astype(np.int32)) if self.rare else (taps, winner)

        def bits(*shape: int) -> np.ndarray:
            return self.rng.integers(0, 99, shape).astype(self.unit)

        calls: dict[str, Any] = {
            "conv2d": lambda: (image, self.array(*taps, c, o), self.array(o), *self.window, 1, "relu"),
            "conv2d_input_grad": lambda: (
                self.array(n, oh, ow, o), self.array(n, oh, ow, o), self.array(*taps, c, o), self.size, *self.window, 1,
                image,
            ),
            "conv2d_weight_grad": lambda: (
                self.array(n, oh, ow, o), self.array(n, oh, ow, o), image, taps, *self.window, 1
            ),
            "pointwise_backward": lambda: (
                [self.array(n, h, w, m) for m in members], [self.array(n, h, w, m) for m in members],
                [self.array(1, 1, c, m) for m in members], image, None,
            ),
            "channel_sum": lambda: (self.array(self.number(257, 600), c),),
            "linear": lambda: (self.array(n, c), self.array(o, c), self.array(o)),
            "linear_input_grad": lambda: (self.array(n, o), self.array(o, c)),
            "linear_weight_grad": lambda: (self.array(n, o), self.array(n, c)),
            "max_pool2d": lambda: (
                image, large, self.stride, ((15, 15), (16, 16)) if self.rare else self.padding, (1, 1), False, True
            ),
            "max_pool2d_backward": lambda: (
                self.array(n, oh, ow, c), largest, self.size, large, *self.window
            ),
            "avg_pool2d": lambda: (image, taps, self.stride, self.padding, False, True, None),
            "avg_pool2d_backward": lambda: (
                self.array(n, *average, c), self.size, taps, self.stride, self.padding, False, None
            ),
            "adaptive_avg_pool2d": lambda: (image, self.pair(1, 4)),
            "adaptive_avg_pool2d_backward": lambda: (self.array(n, *self.pair(1, 4), c), self.size),
            "relu": lambda: (image,),
            "relu_backward": lambda: (image, self.array(n, h, w, c)),
            "softmax": lambda: (logits, self.number(0, 1)),
            "softmax_backward": lambda: (logits, self.array(rows, classes), self.number(0, 1)),
            "log_softmax": lambda: (logits, self.number(0, 1)),
            "log_softmax_backward": lambda: (logits, self.array(rows, classes), self.number(0, 1)),
            "batch_statistics": lambda: (self.array(self.number(257, 600), c),),
            "batch_norm": lambda: (image, *statistics, self.array(c), self.array(c), 1e-5, "relu"),
            "batch_norm_backward": lambda: (
                self.array(600, c), self.array(600, c), *statistics, self.array(c), self.array(c), 1e-5, "relu", True
            ),
            "local_response_norm": lambda: (image, self.number(1, 5), 0.5, 0.75, 1.0),
            "local_response_norm_backward": lambda: (
                image, self.array(n, h, w, c), self.number(1, 5), 0.5, 0.75, 1.0
            ),
            "dropout": lambda: (image, 0.4, 7, 2**33 + 1),
            "cross_entropy": lambda: (logits, labels, None, -100, 0.1),
            "cross_entropy_backward": lambda: (
                self.array(rows), logits, labels, None, -100, 0.1
            ),
            "cross_entropy_target_grad": lambda: (self.array(rows), logits, None, 0.1),
            "note_step": lambda: (logits, target, self.array(1), 5, self.array(2), halted),
            "cat": lambda: ([bits(n, h, w, m) for m in members], 3),
            "split": lambda: (bits(n, h, w, sum(members)), members, 3),
            "pad": lambda: (bits(n, h, w, c), [(0, 1), (2, -1 if w > 1 else 0), (1, 1), (0, 4 * self.packs)], 1),
            "resize_bilinear": lambda: (
                self.rng.integers(0, 256, (n, h, w, 1), np.uint8), self.pair(1, 9), 0.01, -0.5,
                None if self.packs else self.rng.integers([-9] * 2 + [1] * 2 + [0] * 5, 10, (n, 9), np.int32),
            ),
            "sgd_step": lambda: (params, like[0], like[1], 0.1, 0.9, 0.01, True, halted),
            "adam_step": lambda: (
                params, like[0], like[1], [np.abs(s) for s in like[2]], 3, 0.1, (0.9, 0.99), 1e-8, 0.1, False, halted
            ),
        }  # fmt: skip
        return tuple(calls[kernel]())


def main(chosen: list[str], draws: int, dtypes: list[str]) -> None:
    """Run the samples of all kernels, or of those chosen; whatever finds fault says so and ends the process."""
    with on_card.serving(on_card.STANDIN):
        table = kernels.serving(np.zeros(1, np.float32))
        for family in kernels.TABLE.values():
            for kernel in family:
                for dtype in dtypes if not chosen or kernel in chosen else ():
                    for arguments in samples(kernel, np.dtype(dtype).type, draws):
                        getattr(table, kernel)(*arguments)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kernels", nargs="*", metavar="KERNEL")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--dtypes", nargs="+", default=[np.dtype(dtype).name for dtype in DTYPES])
    options = parser.parse_args()
    main(options.kernels, options.draws, options.dtypes)
