"""Bad input to every public function and layer: an error that names the argument, where PyTorch refuses as well."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigrad import Tensor, functional as F, nn
from tests.minigrad.against_torch import torch_module

Call = Callable[[Any, Callable[..., Any]], Any]


def zeros(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape, np.float32))


# Each is called with the functions and with what makes a tensor of zeros, once minigrad's and once PyTorch's.
BOTH_REFUSE: dict[str, tuple[Call, str]] = {
    "conv2d of a matrix": (lambda F, z: F.conv2d(z(3, 3), z(1, 1, 1, 1)), "input: given shape"),
    "conv2d of five axes": (lambda F, z: F.conv2d(z(1, 1, 1, 3, 3), z(1, 1, 1, 1)), "input: given shape"),
    "conv2d, weight of three axes": (lambda F, z: F.conv2d(z(1, 2, 3, 3), z(2, 1, 1)), "weight: given shape"),
    "conv2d, other channels": (lambda F, z: F.conv2d(z(1, 2, 3, 3), z(4, 3, 1, 1)), r"weight: .*\(O, 2, kh, kw\)"),
    "conv2d, channels and groups": (
        lambda F, z: F.conv2d(z(1, 3, 3, 3), z(4, 1, 1, 1), groups=2), "groups: given 2, expected a divisor",
    ),
    "conv2d, outputs and groups": (
        lambda F, z: F.conv2d(z(1, 4, 3, 3), z(3, 2, 1, 1), groups=2), "groups: given 2, expected a divisor",
    ),
    "conv2d, no groups": (lambda F, z: F.conv2d(z(1, 4, 3, 3), z(3, 4, 1, 1), groups=0), "groups: given 0"),
    "conv2d, bias": (lambda F, z: F.conv2d(z(1, 2, 3, 3), z(4, 2, 1, 1), z(3)), r"bias: given shape \(3,\)"),
    "conv2d, large kernel": (lambda F, z: F.conv2d(z(1, 1, 3, 9), z(1, 1, 4, 1)), "kernel_size: its 4x1 window .* 3x9"),
    "conv2d, dilated kernel": (
        lambda F, z: F.conv2d(z(1, 1, 4, 4), z(1, 1, 3, 3), padding=1, dilation=3), "its 7x7 window .* 6x6",
    ),
    "conv2d, stride": (lambda F, z: F.conv2d(z(1, 1, 3, 3), z(1, 1, 1, 1), stride=0), "stride: given 0"),
    "conv2d, strides": (lambda F, z: F.conv2d(z(1, 1, 3, 3), z(1, 1, 1, 1), stride=(1, 2, 3)), "stride: given"),
    "conv2d, fractional stride": (lambda F, z: F.conv2d(z(1, 1, 3, 3), z(1, 1, 1, 1), stride=1.5), "stride: given 1.5"),
    "conv2d, padding": (lambda F, z: F.conv2d(z(1, 1, 3, 3), z(1, 1, 1, 1), padding=-1), "padding: given -1"),
    "conv2d, padding string": (lambda F, z: F.conv2d(z(1, 1, 3, 3), z(1, 1, 1, 1), padding="half"), "padding: given"),
    "conv2d, same with stride": (
        lambda F, z: F.conv2d(z(1, 1, 3, 3), z(1, 1, 1, 1), stride=2, padding="same"), "padding: 'same' needs stride 1",
    ),
    "conv2d, dilation": (lambda F, z: F.conv2d(z(1, 1, 3, 3), z(1, 1, 1, 1), dilation=0), "dilation: given 0"),
    "linear, features": (lambda F, z: F.linear(z(2, 3), z(4, 5)), r"input: given shape \(2, 3\), expected \(..., 5\)"),
    "linear, bias": (lambda F, z: F.linear(z(2, 3), z(4, 3), z(5)), r"bias: given shape \(5,\)"),
    "max_pool2d of a matrix": (lambda F, z: F.max_pool2d(z(3, 3), 2), "input: given shape"),
    "max_pool2d, kernel": (lambda F, z: F.max_pool2d(z(1, 1, 3, 3), 0), "kernel_size: given 0"),
    "max_pool2d, large kernel": (lambda F, z: F.max_pool2d(z(1, 1, 3, 3), 4), "kernel_size: its 4x4 window .* 3x3"),
    "max_pool2d, stride": (lambda F, z: F.max_pool2d(z(1, 1, 3, 3), 2, 0), "stride: given 0"),
    "max_pool2d, padding": (lambda F, z: F.max_pool2d(z(1, 1, 4, 4), 2, 2, 2), "padding: given .* at most half"),
    "max_pool2d, padding of a dilated window": (
        lambda F, z: F.max_pool2d(z(1, 1, 9, 9), 3, 1, 2, 2), r"padding: given \(2, 2\), expected at most half",
    ),
    "max_pool2d, negative padding": (lambda F, z: F.max_pool2d(z(1, 1, 4, 4), 2, 2, -1), "padding: given -1"),
    "max_pool2d, dilation": (lambda F, z: F.max_pool2d(z(1, 1, 4, 4), 2, dilation=0), "dilation: given 0"),
    "max_pool2d of no pixels": (lambda F, z: F.max_pool2d(z(1, 1, 0, 0), 2, padding=1), "H and W at least 1"),
    "avg_pool2d of no rows": (lambda F, z: F.avg_pool2d(z(1, 1, 0, 4), 2, padding=1), "H and W at least 1"),
    "avg_pool2d of a vector": (lambda F, z: F.avg_pool2d(z(3), 2), "input: given shape"),
    "avg_pool2d, large kernel": (lambda F, z: F.avg_pool2d(z(1, 1, 3, 3), (1, 4)), "kernel_size: its 1x4 window"),
    "avg_pool2d, padding": (lambda F, z: F.avg_pool2d(z(1, 1, 4, 4), 3, 1, 2), "padding: given"),
    "avg_pool2d, divisor": (
        lambda F, z: F.avg_pool2d(z(1, 1, 4, 4), 2, divisor_override=0), "divisor_override: given 0",
    ),
    "adaptive_avg_pool2d, size": (lambda F, z: F.adaptive_avg_pool2d(z(1, 1, 3, 3), -1), "output_size: given"),
    "adaptive_avg_pool2d, sizes": (lambda F, z: F.adaptive_avg_pool2d(z(1, 1, 3, 3), (1, 2, 3)), "output_size: given"),
    "softmax, dim": (lambda F, z: F.softmax(z(2, 3), 2), "softmax: dim: given 2, expected -2 to 1"),
    "log_softmax, dim": (lambda F, z: F.log_softmax(z(2, 3), -3), "log_softmax: dim: given -3"),
    "dropout, p": (lambda F, z: F.dropout(z(3), 1.5), "p: given 1.5"),
    "dropout, negative p": (lambda F, z: F.dropout(z(3), -0.1), "p: given -0.1"),
    "batch_norm, mean": (lambda F, z: F.batch_norm(z(2, 3), z(4), z(3)), r"running_mean: given float32 \(4,\)"),
    "batch_norm, variance": (lambda F, z: F.batch_norm(z(2, 3), z(3), z(4)), r"running_var: given float32 \(4,\)"),
    "batch_norm, weight": (
        lambda F, z: F.batch_norm(z(2, 3), None, None, z(4), None, True), r"weight: given float32 \(4,\)",
    ),
    "batch_norm, bias": (
        lambda F, z: F.batch_norm(z(2, 3), None, None, None, z(1), True), r"bias: given float32 \(1,\)",
    ),
    "batch_norm of one value": (
        lambda F, z: F.batch_norm(z(1, 3, 1, 1), None, None, training=True), "input: .* more than 1 value per channel",
    ),
    "batch_norm, no statistics": (lambda F, z: F.batch_norm(z(2, 3), None, None), "running_mean, running_var: given"),
    "local_response_norm of a matrix": (lambda F, z: F.local_response_norm(z(2, 3), 2), "input: given shape"),
    "local_response_norm, size": (lambda F, z: F.local_response_norm(z(2, 3, 4), 0), "size: given 0"),
    "cross_entropy, reduction": (
        lambda F, z: F.cross_entropy(z(2, 3), z(2, 3), reduction="avg"), "reduction: given 'avg'",
    ),
    "cross_entropy, smoothing": (
        lambda F, z: F.cross_entropy(z(2, 3), z(2, 3), label_smoothing=1.5), "label_smoothing: given 1.5",
    ),
    "cross_entropy, weight": (
        lambda F, z: F.cross_entropy(z(2, 3), z(2, 3), z(2)), r"weight: given float32 \(2,\), expected float32 \(3,\)",
    ),
    "cross_entropy, floats of index shape": (
        lambda F, z: F.cross_entropy(z(2, 3), z(2)), r"target: given floats of shape \(2,\), expected class prob",
    ),
    "cross_entropy of one image, a float": (lambda F, z: F.cross_entropy(z(3), z()), r"target: given float32 \(\)"),
    "cross_entropy of no axes": (lambda F, z: F.cross_entropy(z(), z()), "input: given shape"),
    "pad, odd": (lambda F, z: F.pad(z(2, 3), (1, 2, 3)), "pad: given 3 amounts"),
    "pad, many": (lambda F, z: F.pad(z(2, 3), (1,) * 6), "pad: given 6 amounts"),
    "pad, mode": (lambda F, z: F.pad(z(2, 3, 4), (1, 1), "mirror"), "mode: given 'mirror'"),
    "pad, value with mode": (lambda F, z: F.pad(z(2, 3, 4), (1, 1), "reflect", 1.0), "value: given 1.0"),
    "pad, too much reflected": (lambda F, z: F.pad(z(2, 3, 4), (4, 0), "reflect"), r"pad: given \(4, 0\)"),
    "pad, too much around": (lambda F, z: F.pad(z(2, 3, 4), (5, 0), "circular"), r"pad: given \(5, 0\)"),
    "pad, too much cut off": (lambda F, z: F.pad(z(2, 3), (-2, -2)), r"pad: given \(-2, -2\) for axis 1"),
    "reshape": (lambda F, z: z(2, 3).reshape(4, 2), r"reshape: shape: given \(4, 2\) for 6 elements"),
    "reshape, two unknowns": (lambda F, z: z(2, 3).reshape(-1, -1), r"reshape: shape: given \(-1, -1\)"),
    "transpose": (lambda F, z: z(2, 3).transpose(0, 2), "transpose: dim1: given 2"),
    "permute, dims": (lambda F, z: z(2, 3).permute(0, 0), r"permute: dims: given \(0, 0\)"),
    "permute, dim": (lambda F, z: z(2, 3).permute(0, 2), "permute: dims: given 2"),
    "permute, too few": (lambda F, z: z(2, 3).permute(0), "permute: dims: given"),
    "sum, dim": (lambda F, z: z(2, 3).sum(2), "sum: dim: given 2"),
    "sum, dim twice": (lambda F, z: z(2, 3).sum((0, -2)), "sum: dim: given .* twice"),
    "mean, dim": (lambda F, z: z(2, 3).mean((0, -3)), "^mean: dim: given -3"),
    "max, dim": (lambda F, z: z(2, 3).max(2), "max: dim: given 2"),
    "max of nothing": (lambda F, z: z(0, 3).max(), r"max: given a tensor of shape \(0, 3\)"),
    "max along nothing": (lambda F, z: z(0, 3).max(0), "max: dim: given 0, which has no elements"),
    "matmul": (lambda F, z: z(2, 3) @ z(2, 3), r"matmul: b: given shape \(2, 3\)"),
    "matmul of numbers": (lambda F, z: z() @ z(3), "matmul: b: given shape"),
    "matmul, batches": (lambda F, z: z(2, 2, 3) @ z(3, 3, 2), r"shapes \(2, 2, 3\) and \(3, 3, 2\)"),
    "add": (lambda F, z: z(2, 3) + z(2), r"shapes \(2,3\) \(2,\)"),
    "index": (lambda F, z: z(2, 3)[2], "index 2 is out of bounds"),
    "too many indices": (lambda F, z: z(2, 3)[0, 0, 0], "too many indices"),
    "pow of a tensor": (lambda F, z: z(2) ** z(3), "exponent: given Tensor"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOTH_REFUSE)
def test_both_refuse_and_ours_names_the_argument(name: str) -> None:
    call, message = BOTH_REFUSE[name]
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call(F, zeros)
    torch = torch_module()
    with pytest.raises((ValueError, TypeError, IndexError, RuntimeError, AssertionError)):
        call(torch.nn.functional, lambda *shape: torch.zeros(shape))


@pytest.mark.parametrize("label", [3, -1])
def test_labels_out_of_range_are_refused_by_both(label: int) -> None:
    with pytest.raises(IndexError, match=f"target: given class {label}, expected 0 to 2"):
        F.cross_entropy(zeros(2, 3), [0, label])
    torch = torch_module()
    with pytest.raises((IndexError, RuntimeError)):
        torch.nn.functional.cross_entropy(torch.zeros(2, 3), torch.tensor([0, label]))


OURS_REFUSE: dict[str, tuple[Callable[[], Any], str]] = {
    "conv2d, activation": (
        lambda: F.conv2d(zeros(1, 1, 3, 3), zeros(1, 1, 1, 1), activation="tanh"), "activation: given 'tanh'",
    ),
    "batch_norm, activation": (
        lambda: F.batch_norm(zeros(2, 3), None, None, training=True, activation="tanh"), "activation: given 'tanh'",
    ),
    "conv2d, empty weight": (lambda: F.conv2d(zeros(1, 1, 3, 3), zeros(1, 1, 0, 1)), "weight: given shape"),
    "linear, weight of one axis": (lambda: F.linear(zeros(2, 3), zeros(3)), "weight: given shape"),
    "linear of a number": (lambda: F.linear(zeros(), zeros(2, 1)), "input: given shape"),
    "batch_norm of five axes": (lambda: F.batch_norm(zeros(1, 2, 3, 4, 5), None, None, training=True), "input: given"),
    "batch_norm, dtype": (
        lambda: F.batch_norm(zeros(2, 3), Tensor(np.zeros(3)), zeros(3)), "running_mean: given float64",
    ),
    "cross_entropy of six axes": (
        lambda: F.cross_entropy(zeros(1, 1, 1, 1, 1, 1), zeros(1, 1, 1, 1, 1, 1)), "input: given shape",
    ),
    "cross_entropy, shape of labels": (
        lambda: F.cross_entropy(zeros(2, 3), [0, 1, 2]), r"target: given int64 \(3,\), expected integer class numbers",
    ),
    "cross_entropy of one image, two labels": (
        lambda: F.cross_entropy(zeros(3), [0, 1]),
        r"target: given int64 \(2,\), expected an integer class number \(\) or floats \(3,\)",
    ),
    "cross_entropy, a weight to learn": (
        lambda: F.cross_entropy(zeros(2, 3), [0, 1], Tensor([1.0, 1.0, 1.0], requires_grad=True)),
        "weight: given one that requires a gradient",
    ),
    "cross_entropy, labels of truth": (lambda: F.cross_entropy(zeros(2, 3), [True, False]), "target: given bool"),
    "adaptive_avg_pool2d, a size and none": (
        lambda: F.adaptive_avg_pool2d(zeros(1, 1, 3, 3), (None, 0)), r"output_size: given \(None, 0\), expected",
    ),
    "adaptive_avg_pool2d of no rows": (lambda: F.adaptive_avg_pool2d(zeros(1, 1, 0, 3), 1), "input: given shape"),
    "relu of truths": (lambda: F.relu(Tensor([True])), "relu: input: given bool"),
    "relu of a list": (lambda: F.relu([1.0]), "no kernels serve arrays of type list"),
    "BatchNorm2d, activation": (lambda: nn.BatchNorm2d(3, activation="tanh"), "activation: given 'tanh'"),
    "local_response_norm, size": (lambda: F.local_response_norm(zeros(1, 2, 3), 2.5), "size: given 2.5"),
    "cat of nothing": (lambda: F.cat([]), "tensors: given none"),
    "cat, dim": (lambda: F.cat([zeros(2, 3)], 2), "dim: given 2"),
    "cat, shapes": (lambda: F.cat([zeros(2, 3), zeros(1, 3)], 1), r"shapes must agree .* tensor 1: \(1, 3\)"),
    "cat, ranks": (lambda: F.cat([zeros(2, 3), zeros(2, 3, 1)]), "shapes must agree"),
    "flatten, order": (lambda: F.flatten(zeros(2, 3), 1, 0), "start_dim: given 1"),
    "flatten, dim": (lambda: F.flatten(zeros(2, 3), 2), "start_dim: given 2"),
    "dim that is no number": (lambda: F.softmax(zeros(2, 3), 1.0), "softmax: dim: given 1.0, expected an int"),
    "dropout, NaN": (lambda: F.dropout(zeros(2), float("nan")), "p: given nan"),
    "Conv2d, channels": (lambda: nn.Conv2d(0, 1, 1), "in_channels: given 0"),
    "Conv2d, outputs and groups": (lambda: nn.Conv2d(2, 3, 1, groups=2), "out_channels: given 3"),
    "Conv2d, kernel": (lambda: nn.Conv2d(2, 3, 0), "kernel_size: given 0"),
    "Conv2d, activation": (lambda: nn.Conv2d(2, 3, 1, activation="tanh"), "activation: given 'tanh'"),
    "Linear, features": (lambda: nn.Linear(-1, 2), "in_features: given -1"),
    "Dropout, p": (lambda: nn.Dropout(2.0), "p: given 2.0"),
    "BatchNorm2d of a matrix": (lambda: nn.BatchNorm2d(3)(zeros(2, 3)), r"BatchNorm2d: input: given shape \(2, 3\)"),
    "BatchNorm1d of images": (lambda: nn.BatchNorm1d(3)(zeros(2, 3, 1, 1)), "BatchNorm1d: input: given shape"),
    "BatchNorm2d, channels": (lambda: nn.BatchNorm2d(3)(zeros(2, 4, 1, 1)), r"running_mean: given float32 \(3,\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", OURS_REFUSE)
def test_the_argument_is_named(name: str) -> None:
    call, message = OURS_REFUSE[name]
    with pytest.raises((ValueError, TypeError, IndexError), match=message):
        call()


MIXED: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "conv2d": (lambda x: F.conv2d(zeros(1, 1, 3, 3), x), "Conv2d: .* input is float32, weight is float64"),
    "linear": (lambda x: F.linear(x, zeros(1, 1)), "Linear: .* input is float64, weight is float32"),
    "cat": (lambda x: F.cat([zeros(1, 1, 1, 1), x]), "Cat: all tensors must have one dtype"),
    "cross_entropy": (lambda x: F.cross_entropy(zeros(1, 1, 1, 1), x), "CrossEntropy: .* target is float64"),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_dtypes_are_named(name: str) -> None:
    call, message = MIXED[name]
    with pytest.raises(TypeError, match=message):
        call(Tensor(np.zeros((1, 1, 1, 1))))


INTEGERS = Tensor(np.ones((2, 3, 4, 4), np.int64))


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.softmax(INTEGERS, 1), lambda: F.log_softmax(INTEGERS, 1), lambda: F.max_pool2d(INTEGERS, 2),
        lambda: F.avg_pool2d(INTEGERS, 2), lambda: F.adaptive_avg_pool2d(INTEGERS, 1), lambda: F.dropout(INTEGERS),
        lambda: F.conv2d(INTEGERS, INTEGERS), lambda: F.local_response_norm(INTEGERS, 3),
        lambda: F.batch_norm(INTEGERS, None, None, training=True),
        lambda: F.cross_entropy(INTEGERS, np.zeros((2, 4, 4), np.int64)),
    ],
)  # fmt: skip
def test_integers_are_refused_where_only_floats_make_sense(call: Callable[[], Tensor]) -> None:
    with pytest.raises(TypeError, match="input is int64"):
        call()


def test_mixed_tensors_of_a_list_are_named_by_their_place() -> None:
    with pytest.raises(TypeError, match=r"tensors\[0\] is float32, tensors\[1\] is float64"):
        F.cat([zeros(2, 3), zeros(2, 3).to(np.float64)])
    with pytest.raises(ValueError, match="cat: tensors: given single numbers"):
        F.cat([Tensor(1.0), Tensor(2.0)], 0)


def test_probabilities_have_no_class_to_ignore() -> None:
    with pytest.raises(ValueError, match="ignore_index: given 1, but a target of probabilities"):
        F.cross_entropy(zeros(2, 3), zeros(2, 3), ignore_index=1)
