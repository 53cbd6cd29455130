"""What pooling's windows have to do with pixels, and how a loop reads the pixels of a window.

For one pixel of a result, the pixels it depends on are the product of a list of rows and a list of columns, the same
for all images and channels. `window_plan` makes these lists once per geometry; at any place only few different ones
occur. `load` and `store` read and write memory with the promise that the two never meet.
"""

import functools
import itertools
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from kernels.cpu.jit import compiled
from kernels.geometry import Padding, Pair, valid_outputs, winner_dtype
from kernels.layout import Array

IN_REGISTERS = 9
"""Pixels that a loop handles at once: those of a 3x3 window."""
Patterns = dict[tuple[tuple[int, int], ...], int]


def _scope(builder: Any) -> Any:
    """Metadata that names the memory which `load` reads, for LLVM's scoped no-alias analysis."""
    domain = builder.module.add_metadata(["minigrad"])
    return builder.module.add_metadata([builder.module.add_metadata(["read only", domain])])


def _element(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = cgutils.create_struct_proxy(kind)(context, builder, value=array).data
    return builder.gep(data, [index])


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """Element `index` of a C-contiguous array's memory, which nobody writes to.

    With it goes the promise that no `store` meets this memory. LLVM otherwise has to compare the addresses of all nine
    pixels with those of the results before each loop, and gives up vectorising for the number of comparisons.
    """
    signature = array.dtype(array, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value = builder.load(_element(context, builder, signature.args[0], *arguments))
        value.set_metadata("alias.scope", _scope(builder))
        return value

    return signature, generate


@intrinsic
def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Write `value` to element `index` of a C-contiguous array's memory, from which no `load` reads."""
    signature = types.void(array, types.int64, value)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, value = arguments
        kind = signature.args[0]
        written = builder.store(
            context.cast(builder, value, signature.args[2], kind.dtype), _element(context, builder, kind, array, index)
        )
        written.set_metadata("noalias", _scope(builder))
        return context.get_dummy_value()

    return signature, generate


def _axis_patterns(meetings: list[list[tuple[int, int]]]) -> tuple[Array, Patterns]:
    """Places of one axis, each with its (tap, place met) pairs, sorted by pattern: the same taps meeting places at the
    same distances. Returns each place's pattern and first place met, (L, 2), and the patterns' numbers."""
    patterns: Patterns = {}
    of_place = np.zeros((len(meetings), 2), np.int64)
    for index, pairs in enumerate(meetings):
        first = pairs[0][1] if pairs else 0
        pattern = tuple((tap, place - first) for tap, place in pairs)
        of_place[index] = patterns.setdefault(pattern, len(patterns)), first
    return of_place, patterns


@functools.lru_cache(maxsize=256)
def window_plan(
    size: Pair, outputs: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair, channels: int,
    backward: bool,
) -> tuple[Array, Array, Array, Array, Array]:
    """What each pixel of the result depends on: in forward the taps on the image, and the inputs that they meet; in
    backward the taps that meet an input, and the outputs whose windows they belong to.

    There are few different patterns (inside, and at each border), so their lists stay in the cache. Returns pattern
    and first place met of each row (H, 2) and column (W, 2), and for each pair of patterns how many pixels its list
    has (R, C), their offsets from the first (R, C, most) and their tap numbers (R, C, most) in the winners' dtype.
    Lists are filled up to IN_REGISTERS: with copies of the last pixel, which change no maximum, or with pixels that
    nobody has won.
    """
    axes = []
    for axis in (0, 1):
        meetings: list[list[tuple[int, int]]] = [[] for _ in range(size[axis] if backward else outputs[axis])]
        for tap in range(kernel[axis]):
            out, met = valid_outputs(tap, size[axis], outputs[axis], stride[axis], padding[axis][0], dilation[axis])
            for output, input in zip(np.r_[out], np.r_[met], strict=True):
                target, source = (input, output) if backward else (output, input)
                meetings[target].append((tap, source))
        axes.append(_axis_patterns(meetings))
    (rows, row_patterns), (cols, col_patterns) = axes
    width = outputs[1] if backward else size[1]
    # Not as many as there are taps: where a window covers all, each pixel meets one of them, and each another one.
    longest = [max(map(len, patterns), default=0) for patterns in (row_patterns, col_patterns)]
    length = max(IN_REGISTERS, longest[0] * longest[1])
    counts = np.zeros((max(1, len(row_patterns)), max(1, len(col_patterns))), np.int64)
    offsets = np.zeros((*counts.shape, length), np.int64)
    dtype = winner_dtype(kernel)
    numbers = np.full(offsets.shape, np.iinfo(dtype).max, dtype)  # no tap has this number
    for (row_pattern, r), (col_pattern, c) in itertools.product(row_patterns.items(), col_patterns.items()):
        pairs = [
            ((down * width + right) * channels, i * kernel[1] + j)
            for i, down in row_pattern for j, right in col_pattern
        ]
        counts[r, c] = len(pairs)
        if not pairs:
            continue
        offsets[r, c, : len(pairs)], numbers[r, c, : len(pairs)] = zip(*pairs, strict=True)
        offsets[r, c, len(pairs) :] = pairs[-1][0]
        if not backward:
            numbers[r, c, len(pairs) :] = pairs[-1][1]
    return rows, cols, counts, offsets, numbers


@compiled
def nine(values: Any, more: Any) -> Any:
    """The first nine values, each with `more` added, for nine registers."""
    return (
        values[0] + more, values[1] + more, values[2] + more, values[3] + more, values[4] + more, values[5] + more,
        values[6] + more, values[7] + more, values[8] + more,
    )


@compiled
def nine_numbers(values: Any) -> Any:
    """The first nine values as they are."""
    return (
        values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7], values[8],
    )
