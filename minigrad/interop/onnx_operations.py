"""How each operation is said in ONNX.

A translator adds nodes to the graph and returns the name of what the last one computes; `function` is the operation
after its forward, which some of their options come from.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels.layout import Array
from minigrad.interop.onnx_graph import Graph, Translator


def _plain(kind: str) -> Translator:
    return lambda graph, function, inputs, output: graph.add(kind, inputs)


def _with_relu(graph: Graph, function: Any, name: str) -> str:
    return graph.add("Relu", [name]) if function.activation else name


def _conv2d(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    stride, sides, dilation, groups = function.window
    y = graph.add(
        "Conv", inputs, kernel_shape=function.kernel_size, strides=stride, pads=_begins_and_ends(sides),
        dilations=dilation, group=groups,
    )  # fmt: skip
    return _with_relu(graph, function, y)


def _begins_and_ends(sides: Sequence[tuple[int, int]]) -> list[int]:
    """One (before, after) per axis in ONNX's order: all that is before, then all that is after."""
    return list(itertools.chain(*zip(*sides, strict=True)))


def _padding(function: Any, input: Array, output: Array) -> list[tuple[int, int]]:
    """A pool's padding, (before, after) per axis: before as it was given, after as far as the last window reaches.

    It says the same as `ceil_mode`, about whose last window programs have had different opinions.
    """
    axes = zip(function.padding, function.spans, function.stride, input.shape[2:], output.shape[2:], strict=True)
    return [
        (before, max(0, (places - 1) * stride + span - size - before))
        for (before, _), span, stride, size, places in axes
    ]


def _max_pool2d(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    pads = _begins_and_ends(_padding(function, inputs[0], output))
    return graph.add(
        "MaxPool", inputs, kernel_shape=function.kernel, strides=function.stride, pads=pads, dilations=function.dilation
    )


def _avg_pool2d(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    (count_padding, divisor), padding = function.divisor, _padding(function, inputs[0], output)
    if divisor is not None:
        raise graph.unsupported("has a divisor of its own")
    given = [before for before, _ in function.padding]
    count_padding = count_padding and any(given)  # what ceil_mode adds behind the input is never counted
    if count_padding and any(after > most for (_, after), most in zip(padding, given, strict=True)):
        raise graph.unsupported("counts padding and has windows that reach beyond it")
    return graph.add(
        "AveragePool", inputs, kernel_shape=function.kernel, strides=function.stride, pads=_begins_and_ends(padding),
        count_include_pad=int(count_padding),
    )  # fmt: skip


def _adaptive_avg_pool2d(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    (height, width), (rows, cols) = inputs[0].shape[2:], output.shape[2:]
    if height % rows or width % cols:
        raise graph.unsupported("has windows of different sizes")
    window = (height // rows, width // cols)
    return graph.add("AveragePool", inputs, kernel_shape=window, strides=window)


def _linear(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    if inputs[0].ndim != 2:
        raise graph.unsupported(f"has an input of {inputs[0].ndim} axes")
    return graph.add("Gemm", inputs, transB=1)


def _batch_norm(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    x, weight, bias = inputs
    if function.statistics is None:
        raise graph.unsupported("normalises with each batch's own statistics")
    mean, variance = function.statistics
    y = graph.add(
        "BatchNormalization",
        [
            x,
            graph.constant("ones", np.ones_like(mean)) if weight is None else weight,
            graph.constant("zeros", np.zeros_like(mean)) if bias is None else bias,
            graph.constant("running_mean", mean),
            graph.constant("running_var", variance),
        ],
        epsilon=function.eps,
    )
    return _with_relu(graph, function, y)


def _local_response_norm(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    size, alpha, beta, k = function.options
    if size % 2 == 0:
        raise graph.unsupported(f"has a window of {size} channels")  # ONNX puts the odd one on the other side
    return graph.add("LRN", inputs, size=size, alpha=alpha, beta=beta, bias=k)


def _cat(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    return graph.add("Concat", inputs, axis=function.dim % output.ndim)


def _reshape(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    (x,) = inputs
    if x.shape[:1] != output.shape[:1]:
        raise graph.unsupported(f"makes {output.shape} of {x.shape}, not image by image")
    shape = np.array([0, *output.shape[1:]], np.int64)  # 0: as many as come in
    return graph.add("Reshape", [x, graph.constant("shape", shape)])


def _pad(graph: Graph, function: Any, inputs: Sequence[Any], output: Array) -> str:
    amounts = graph.constant("pads", np.array(_begins_and_ends(function.amounts), np.int64))
    value = graph.constant("value", np.array(function.value, output.dtype))
    return graph.add("Pad", [*inputs, amounts, value])


TRANSLATORS: dict[str, Translator] = {
    "Conv2d": _conv2d,
    "MaxPool2d": _max_pool2d,
    "AvgPool2d": _avg_pool2d,
    "AdaptiveAvgPool2d": _adaptive_avg_pool2d,
    "Linear": _linear,
    "BatchNorm": _batch_norm,
    "LocalResponseNorm": _local_response_norm,
    "Cat": _cat,
    "Reshape": _reshape,
    "Pad": _pad,
    "ReLU": _plain("Relu"),
    "Add": _plain("Add"),
    "Sub": _plain("Sub"),
    "Mul": _plain("Mul"),
    "Div": _plain("Div"),
}
