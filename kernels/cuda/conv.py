"""Convolution as im2col and a matrix product, as in kernels/reference/conv.py, a chunk of the batch at a time.

Columns are tiles of bounded size: 224x224 images at batch 128 would have 7 GB of them. A 1x1 convolution is a matrix
product by itself. Bias and ReLU are one pass over the product's result; backward, ReLU's mask, the bias's gradient and,
for convolutions that go backward together, the joining of their gradients are one pass too.
"""

from collections.abc import Iterator, Sequence

import cupy
import numpy as np

from kernels.cuda.activation import relu_backward
from kernels.cuda.columns import col2im, im2col
from kernels.cuda.launch import NULL, SUM_LANES, SUM_TILE, contiguous, launch, over_elements, over_rows, pack_size
from kernels.cuda.matmul import matmul
from kernels.cuda.shape import cat, split
from kernels.geometry import Padding, Pair, output_size
from kernels.layout import Array, address

COLUMN_BYTES = 256 << 20
"""Most bytes of columns at a time, but for a single image that has more."""

ROWS_A_PART, MOST_PARTS = 256, 256
MEMBER = np.dtype([("grad", np.uint64), ("output", np.uint64), ("channels", np.int32), ("first", np.int32)])
MEMBERS = 8
"""Of channel_sum.cu's struct Members: how many convolutions go through one launch."""


def chunks(images: int, column_bytes: int) -> Iterator[slice]:
    """Slices of the batch whose columns take at most COLUMN_BYTES; `column_bytes` is for one image."""
    step = max(1, COLUMN_BYTES // max(1, column_bytes))
    return (slice(start, start + step) for start in range(0, images, step))


def add_bias(y: Array, bias: Array | None, relu: bool) -> None:
    """y + bias, then ReLU if asked, in place: (..., O) and (O,)."""
    if y.size == 0 or (bias is None and not relu):
        return
    width = y.shape[-1]
    rows = y.size // width
    values = NULL if bias is None else contiguous(bias)
    pack = pack_size(y.dtype, (width,), y, *([] if bias is None else [values]))
    grid, block = over_rows(rows, width // pack)
    name = "bias_packs" if pack > 1 else "bias"
    launch("bias", name, y.dtype, grid, block, y, values, np.int64(rows), np.int32(width // pack), np.int32(relu))


def conv2d(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    activation: str | None,
) -> Array:
    """Forward: (N, H, W, C) and (kh, kw, C/groups, O) -> (N, OH, OW, O). `activation` is None or "relu"."""
    x, weight = contiguous(x), contiguous(weight)
    n, h, w, c = x.shape
    kh, kw, share, o = weight.shape
    oh, ow = output_size((h, w), (kh, kw), stride, padding, dilation)
    y = cupy.empty((n, oh, ow, o), x.dtype)
    if is_pointwise((kh, kw), stride, padding, groups):
        matmul(x.reshape(n * h * w, c), weight.reshape(c, o), y.reshape(n * h * w, o))
    else:
        filters = o // groups
        for group in range(groups):
            outputs = slice(group * filters, (group + 1) * filters)
            matrix = contiguous(weight[..., outputs]).reshape(kh * kw * share, filters)  # (kh*kw*C/g, O/g)
            for images in chunks(n, oh * ow * kh * kw * share * x.itemsize):
                columns = im2col(x[images], (kh, kw), stride, padding, dilation, group * share, share)
                rows = columns.reshape(-1, kh * kw * share)  # (N*OH*OW, kh*kw*C/g)
                if groups == 1:
                    matmul(rows, matrix, y[images].reshape(-1, o))
                else:
                    product = cupy.empty((len(rows), filters), x.dtype)
                    matmul(rows, matrix, product)
                    y[images, :, :, outputs] = product.reshape(-1, oh, ow, filters)
    add_bias(y, bias, activation == "relu")
    return y


def is_pointwise(kernel: Pair, stride: Pair, padding: Padding, groups: int) -> bool:
    """Whether each window is one pixel, so that the image itself is the matrix of its columns."""
    return kernel == (1, 1) and stride == (1, 1) and padding == ((0, 0), (0, 0)) and groups == 1


def conv2d_input_grad(
    grad: Array, output: Array | None, weight: Array, size: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int, into: Array | None,
) -> Array:
    """Gradient of the input: (N, OH, OW, O) and (kh, kw, C/groups, O) -> (N, H, W, C); `size` is (H, W).

    Added to the array `into`, if there is one, which is then the result.
    """
    weight = contiguous(weight)
    n, oh, ow, o = grad.shape
    kh, kw, share, _ = weight.shape
    filters = o // groups
    masked = contiguous(grad if output is None else relu_backward(grad, output))
    x_grad = cupy.empty((n, *size, share * groups), grad.dtype) if into is None else into
    if is_pointwise((kh, kw), stride, padding, groups):
        pixels = n * oh * ow
        matmul(masked.reshape(pixels, o), weight.reshape(share, o).T, x_grad.reshape(pixels, share), into is not None)
        return x_grad
    for group in range(groups):
        outputs = slice(group * filters, (group + 1) * filters)
        matrix = contiguous(weight[..., outputs]).reshape(kh * kw * share, filters)  # (kh*kw*C/g, O/g)
        for images in chunks(n, oh * ow * kh * kw * share * grad.itemsize):
            rows = contiguous(masked[images, :, :, outputs]).reshape(-1, filters)  # (N*OH*OW, O/g)
            columns = cupy.empty((len(rows), kh * kw * share), grad.dtype)  # what each window's taps are owed
            matmul(rows, matrix.T, columns)
            columns = columns.reshape(-1, oh, ow, kh, kw, share)
            col2im(columns, x_grad[images], stride, padding, dilation, group * share, into is not None)
    return x_grad


def conv2d_weight_grad(
    grad: Array, output: Array | None, x: Array, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair,
    groups: int,
) -> tuple[Array, Array]:
    """Gradients of weight and bias: (N, OH, OW, O) and (N, H, W, C) -> (kh, kw, C/groups, O) and (O,)."""
    x = contiguous(x)
    n, oh, ow, o = grad.shape
    (kh, kw), c = kernel, x.shape[3]
    share, filters = c // groups, o // groups
    if output is None:
        masked, bias_grad = contiguous(grad), channel_sum(grad)
    else:
        matrix, bias_grad = masked_with_sums([grad], [output])
        masked = matrix.reshape(grad.shape)
    weight_grad = cupy.empty((kh, kw, share, o), grad.dtype)
    if is_pointwise(kernel, stride, padding, groups):
        pixels = n * oh * ow
        matmul(x.reshape(pixels, c).T, masked.reshape(pixels, o), weight_grad.reshape(c, o))
        return weight_grad, bias_grad
    for group in range(groups):
        outputs = slice(group * filters, (group + 1) * filters)
        product = weight_grad if groups == 1 else cupy.empty((kh, kw, share, filters), grad.dtype)
        product = product.reshape(kh * kw * share, filters)
        if n == 0:
            product.fill(0)
        for number, images in enumerate(chunks(n, oh * ow * kh * kw * share * grad.itemsize)):
            columns = im2col(x[images], kernel, stride, padding, dilation, group * share, share)
            rows = columns.reshape(-1, kh * kw * share)  # (N*OH*OW, kh*kw*C/g)
            grad_rows = contiguous(masked[images, :, :, outputs]).reshape(-1, filters)  # (N*OH*OW, O/g)
            matmul(rows.T, grad_rows, product, add=number > 0)
        if groups > 1:
            weight_grad[..., outputs] = product.reshape(kh, kw, share, filters)
    return weight_grad, bias_grad


def pointwise_backward(
    grads: Sequence[Array], outputs: Sequence[Array | None], weights: Sequence[Array], x: Array, into: Array | None
) -> tuple[Array, list[tuple[Array, Array]]]:
    """Backward of 1x1 convolutions of one input: each (N, H, W, O) and (1, 1, C, O) -> (N, H, W, C), the sum of what
    they owe their input, and the gradients of each weight (1, 1, C, O) and bias (O,).

    Side by side the convolutions are one with as many filters as all of them: one product for each gradient. The first
    result is added to the array `into`, if there is one, which is then the result.
    """
    x = contiguous(x)
    c = x.shape[3]
    filters = [weight.shape[3] for weight in weights]
    masked, bias_grad = masked_with_sums(grads, outputs)  # (N*H*W, sum of O), (sum of O,)
    matrix = weights[0] if len(weights) == 1 else cat(weights, axis=3)  # (1, 1, C, sum of O)
    x_grad = cupy.empty_like(x) if into is None else into
    rows = x.size // c
    matmul(masked, contiguous(matrix).reshape(c, sum(filters)).T, x_grad.reshape(rows, c), into is not None)
    weight_grad = cupy.empty((1, 1, c, sum(filters)), x.dtype)
    matmul(x.reshape(rows, c).T, masked, weight_grad.reshape(c, sum(filters)))
    if len(weights) == 1:
        return x_grad, [(weight_grad, bias_grad)]
    stops = np.cumsum(filters).tolist()
    bias_grads = [bias_grad[stop - size : stop] for stop, size in zip(stops, filters, strict=True)]
    return x_grad, list(zip(split(weight_grad, filters, axis=3), bias_grads, strict=True))


def part_count(rows: int) -> int:
    """Into how many parts a sum over so many rows is cut. It follows from the rows alone, and so do the bits."""
    return min(MOST_PARTS, max(1, -(-rows // ROWS_A_PART)))


def masked_with_sums(grads: Sequence[Array], outputs: Sequence[Array | None]) -> tuple[Array, Array]:
    """The gradients without what ReLU blocked, side by side, (rows, sum of O), and their sums over the rows, (sum of
    O,). An output is that of a convolution, None if it has no ReLU."""
    channels = [grad.shape[-1] for grad in grads]
    rows, total = grads[0].size // channels[0], sum(channels)
    parts = part_count(rows)
    masked = cupy.empty((rows, total), grads[0].dtype)
    partial = cupy.empty((parts, total), grads[0].dtype)
    held = [(contiguous(g), None if y is None else contiguous(y)) for g, y in zip(grads, outputs, strict=True)]
    first = 0
    for start in range(0, len(held), MEMBERS):
        members = np.zeros(1, np.dtype([("at", MEMBER, MEMBERS)]))
        chosen = held[start : start + MEMBERS]
        for member, (grad, output) in zip(members["at"][0], chosen, strict=False):
            member["grad"] = address(grad)
            member["output"] = NULL if output is None else address(output)
            member["channels"], member["first"] = grad.shape[-1], first
            first += grad.shape[-1]
        widest = max(channels[start : start + MEMBERS])
        grid = (-(-widest // SUM_TILE), parts, len(chosen))
        sizes = (np.int64(rows), np.int32(total), np.int32(parts))
        launch(
            "channel_sum", "mask_and_part_sums", masked.dtype, grid, (SUM_TILE, SUM_LANES), members, masked, partial,
            *sizes,
        )
    return masked, _added(partial)


def channel_sum(grad: Array) -> Array:
    """Gradient of any other bias: each channel's gradients summed over everything else, (..., C) -> (C,)."""
    x = contiguous(grad)
    channels = x.shape[-1]
    rows = x.size // max(1, channels)
    parts = part_count(rows)
    partial = cupy.empty((parts, channels), x.dtype)
    grid = (-(-channels // SUM_TILE), parts)
    sizes = (np.int64(rows), np.int32(channels), np.int32(parts))
    launch("channel_sum", "part_sums", x.dtype, grid, (SUM_TILE, SUM_LANES), x, partial, *sizes)
    return _added(partial)


def _added(partial: Array) -> Array:
    """The parts added up: (parts, C) -> (C,)."""
    parts, channels = partial.shape
    total = cupy.empty(channels, partial.dtype)
    grid, block = over_elements(channels)
    launch("channel_sum", "add_parts", partial.dtype, grid, block, partial, total, np.int32(channels), np.int32(parts))
    return total
