"""Dropout on all cores: each element is zero with probability p, the others are scaled so that the mean stays.

The mask is that of kernels/reference/dropout.py, bit for bit. Philox makes four words from a counter and needs nothing
else, so each part of the work makes its own words, in the logical order (C, ...) of an image, for a few channels at a
time; only the decisions are kept, one byte each, until they are applied. No word ever goes through main memory.

Measured from cold caches on two cores where copying reached 40 GB/s and NumPy's matrix product 425 GFLOP/s (AMD EPYC
Zen 5, 2026-11-22, `python -m benchmarks kernels`): 4 % of what copying does: Philox is the limit, and not memory.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from kernels import memory
from kernels.cpu.jit import compiled, next_part, parallel
from kernels.layout import Array

BLOCK = 1 << 13  # elements of which a part keeps the mask, about
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
MULTIPLIER0, MULTIPLIER1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
STEP0, STEP1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@compiled
def _round(counter: Any, key: Any, number: Any) -> Any:
    c0, c1, c2, c3 = counter
    k0, k1 = (key[0] + number * STEP0) & LOW, (key[1] + number * STEP1) & LOW
    product0, product1 = c0 * MULTIPLIER0, c2 * MULTIPLIER1
    return (product1 >> HALF) ^ c1 ^ k0, product1 & LOW, (product0 >> HALF) ^ c3 ^ k1, product0 & LOW


@compiled
def philox(counter: Any, key: Any) -> Any:
    """Four words of counter and two of key, each below 2**32 -> four words of random bits, all uint64: Philox4x32-10.

    J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011, section 3.3. The ten
    rounds are written out, so that the loop over counters has no other loop in it.
    """
    counter = _round(_round(counter, key, np.uint64(0)), key, np.uint64(1))
    counter = _round(_round(counter, key, np.uint64(2)), key, np.uint64(3))
    counter = _round(_round(counter, key, np.uint64(4)), key, np.uint64(5))
    counter = _round(_round(counter, key, np.uint64(6)), key, np.uint64(7))
    return _round(_round(counter, key, np.uint64(8)), key, np.uint64(9))


@compiled
def _decide(first: int, image: int, seed: Any, call: Any, threshold: Any, keep: Any) -> None:
    """keep[i, j] = whether word j of the quad of elements first + i reaches the threshold."""
    key = seed & LOW, seed >> HALF
    for i in range(len(keep)):
        a, b, c, d = philox((np.uint64(first + i), np.uint64(image), call & LOW, call >> HALF), key)
        keep[i, 0], keep[i, 1], keep[i, 2], keep[i, 3] = a >= threshold, b >= threshold, c >= threshold, d >= threshold


@compiled
def _dropout_part(
    x: Any, y: Any, channel_block: int, scale: Any, seed: Any, call: Any, first: int, threshold: Any, part: int
) -> None:
    _, places, channels = x.shape
    blocks = (channels + channel_block - 1) // channel_block
    image, start = part // blocks, part % blocks * channel_block
    stop = min(channels, start + channel_block)
    quads = ((stop - start) * places + 3) // 4
    quad_keep = np.empty((quads, 4), np.uint8)
    _decide(start * places // 4, first + image, seed, call, threshold, quad_keep)
    keep = quad_keep.reshape(4 * quads)  # (Q, 4) -> (channels * places,), and what the last quad has too many
    for place in range(places):
        for c in range(start, stop):
            y[image, place, c] = x[image, place, c] * scale if keep[(c - start) * places + place] else np.float32(0)


@parallel
def _dropout(
    workers: int, x: Any, y: Any, channel_block: int, scale: Any, seed: Any, call: Any, first: int, threshold: Any,
    parts: int,
) -> None:
    counter = np.zeros(1, np.int64)
    for _ in prange(workers):
        part = next_part(counter)
        while part < parts:
            _dropout_part(x, y, channel_block, scale, seed, call, first, threshold, part)
            part = next_part(counter)


def dropout(x: Array, p: float, seed: int, call: int, first: int = 0) -> Array:
    """x * mask / (1 - p): (N, ..., C) -> (N, ..., C).

    The mask is counted, not drawn: it depends on seed, call, image and the element's place in logical (C, ...) order
    only. So the same kernel with the same seed and call is its own backward, applied to the gradient. Images are
    numbered from `first` on: where others have the images before these, all draw from one mask.
    """
    if p == 1:
        return np.zeros(x.shape, x.dtype)
    n, *sizes, c = x.shape
    y = memory.empty(x.shape)
    image = (n, math.prod(sizes), c)
    block = 4 * max(1, BLOCK // (4 * max(1, image[1])))  # channels of one part; a multiple of 4 cuts no quad
    seed_word, call_word = (np.uint64(number & 2**64 - 1) for number in (seed, call))
    threshold = np.uint64(min(int(p * 2**32), 2**32 - 1))
    # (N, ..., C) -> (N, places, C)
    _dropout(
        np.ascontiguousarray(x).reshape(image), y.reshape(image), block, np.float32(1 / (1 - p)), seed_word, call_word,
        first, threshold, n * -(-c // block),
    )
    return y
