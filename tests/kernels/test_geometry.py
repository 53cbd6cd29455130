"""Sizes and slices against windows laid down one by one."""

import pytest
from hypothesis import assume, given, strategies as st

from kernels.geometry import adaptive_window, output_length, output_size, span, valid_outputs

sizes, steps, paddings = st.integers(1, 9), st.integers(1, 4), st.integers(0, 4)


@given(size=sizes, kernel=steps, stride=steps, before=paddings, after=paddings, dilation=steps)
def test_output_length_counts_the_windows_that_fit(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int
) -> None:
    starts = range(-before, size + after, stride)
    fitting = [start for start in starts if start + dilation * (kernel - 1) < size + after]
    assert max(0, output_length(size, kernel, stride, (before, after), dilation)) == len(fitting)


@given(size=sizes, kernel=steps, stride=steps, before=paddings, after=paddings, dilation=steps)
def test_ceil_mode_adds_the_partial_window_that_starts_before_the_far_padding(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int
) -> None:
    whole = output_length(size, kernel, stride, (before, after), dilation)
    assume(whole >= 1)  # a window larger than the padded input is looked at below
    assume(after < span(kernel, dilation))  # no whole window lies on the far padding alone; pools see to that
    covered = (whole - 1) * stride - before + span(kernel, dilation)
    next_start = whole * stride - before
    partial = covered < size + after and next_start < size
    assert output_length(size, kernel, stride, (before, after), dilation, ceil_mode=True) == whole + partial


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


@given(
    tap=st.integers(0, 6), size=sizes, outputs=st.integers(0, 9), stride=steps, before=st.integers(0, 9), dilation=steps
)
def test_valid_outputs_are_the_pairs_that_meet(
    tap: int, size: int, outputs: int, stride: int, before: int, dilation: int
) -> None:
    meeting = [
        (output, output * stride - before + tap * dilation)
        for output in range(outputs)
        if 0 <= output * stride - before + tap * dilation < size
    ]
    out, inputs = valid_outputs(tap, size, outputs, stride, before, dilation)
    assert list(zip(range(outputs)[out], range(size)[inputs], strict=True)) == meeting


@given(size=st.integers(1, 20), outputs=st.integers(1, 20))
def test_adaptive_windows_are_those_of_equal_shares(size: int, outputs: int) -> None:
    """Each output owns the share [o, o + 1) / outputs of the line; its window is every input that the share touches."""
    for output in range(outputs):
        starts_before_end = {place for place in range(size) if place * outputs < (output + 1) * size}
        ends_after_start = {place for place in range(size) if (place + 1) * outputs > output * size}
        assert list(range(*adaptive_window(output, size, outputs))) == sorted(starts_before_end & ends_after_start)
