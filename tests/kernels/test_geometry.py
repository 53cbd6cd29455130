"""Sizes and slices against windows laid down one by one, in every small case there is."""

from itertools import product

import pytest

from kernels.geometry import adaptive_window, output_length, output_size, span, valid_outputs

# size, kernel, stride, before, after, dilation
WINDOWS = list(product(range(1, 7), range(1, 5), range(1, 4), range(3), range(3), range(1, 4)))


def test_output_length_counts_the_windows_that_fit() -> None:
    for size, kernel, stride, before, after, dilation in WINDOWS:
        starts = range(-before, size + after, stride)
        fitting = [start for start in starts if start + dilation * (kernel - 1) < size + after]
        length = output_length(size, kernel, stride, (before, after), dilation)
        assert max(0, length) == len(fitting), (size, kernel, stride, before, after, dilation)


def test_ceil_mode_adds_the_partial_window_that_starts_before_the_far_padding() -> None:
    looked_at = 0
    for size, kernel, stride, before, after, dilation in WINDOWS:
        whole = output_length(size, kernel, stride, (before, after), dilation)
        if whole < 1 or after >= span(kernel, dilation):
            continue  # a window larger than all (see below), or whole windows on the far padding, which no pool allows
        covered = (whole - 1) * stride - before + span(kernel, dilation)
        partial = covered < size + after and whole * stride - before < size
        length = output_length(size, kernel, stride, (before, after), dilation, ceil_mode=True)
        assert length == whole + partial, (size, kernel, stride, before, after, dilation)
        looked_at += 1
    assert looked_at > len(WINDOWS) / 2


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "floor", "ceil"),
    [(1, 2, 2, 0, 1), (2, 3, 3, 0, 1), (1, 3, 1, -1, -1), (96, 3, 2, 47, 48), (48, 3, 2, 23, 24)],
)
def test_output_length_by_hand(size: int, kernel: int, stride: int, floor: int, ceil: int) -> None:
    assert output_length(size, kernel, stride, (0, 0), 1) == floor
    assert output_length(size, kernel, stride, (0, 0), 1, ceil_mode=True) == ceil


def test_output_size_keeps_rows_and_columns_apart() -> None:
    assert output_size((9, 20), (3, 5), (2, 4), ((1, 0), (2, 3)), (1, 2)) == (
        output_length(9, 3, 2, (1, 0), 1),
        output_length(20, 5, 4, (2, 3), 2),
    )


def test_valid_outputs_are_the_pairs_that_meet() -> None:
    for case in product(range(4), range(1, 6), range(5), range(1, 4), range(5), range(1, 4)):
        tap, size, outputs, stride, before, dilation = case
        meeting = [
            (output, output * stride - before + tap * dilation)
            for output in range(outputs)
            if 0 <= output * stride - before + tap * dilation < size
        ]
        out, inputs = valid_outputs(*case)
        assert list(zip(range(outputs)[out], range(size)[inputs], strict=True)) == meeting, case


def test_adaptive_windows_are_those_of_equal_shares() -> None:
    """Each output owns the share [o, o + 1) / outputs of the line; its window is every input that the share touches."""
    for size, outputs in product(range(1, 16), range(1, 16)):
        for output in range(outputs):
            starts_before_end = {place for place in range(size) if place * outputs < (output + 1) * size}
            ends_after_start = {place for place in range(size) if (place + 1) * outputs > output * size}
            touched = sorted(starts_before_end & ends_after_start)
            assert list(range(*adaptive_window(output, size, outputs))) == touched, (size, outputs, output)
