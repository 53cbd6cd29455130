"""Philox4x32-10: random bits by counting instead of drawing.

A counter goes in, four random words come out; there is no state. So the bits for one place of one image can be had at
any time, in any order, on any machine, and again in backward, with nothing stored (J. Salmon, M. Moraes, R. Dror,
D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011, section 3.3).
"""

import numpy as np

from kernels.layout import Array

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
LOW = np.uint64(0xFFFFFFFF)
WORD = np.uint64(32)


def philox(counter: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Four words of counter and two of key, each below 2**32 -> four words of random bits, all as uint64 arrays."""
    c0, c1, c2, c3 = counter
    for number in range(ROUNDS):
        k0, k1 = (np.uint64((word + number * step) & 0xFFFFFFFF) for word, step in zip(key, KEY_STEPS, strict=True))
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = (product1 >> WORD) ^ c1 ^ k0, product1 & LOW, (product0 >> WORD) ^ c3 ^ k1, product0 & LOW
    return c0, c1, c2, c3


def random_words(images: int, elements: int, seed: int, call: int, first: int = 0) -> Array:
    """32 random bits for each element of each image from number `first` on, (N, E) uint32.

    The key is the seed; the counter is (element // 4, image, call), and element % 4 picks one of its four words.
    """
    quads = -(-elements // 4)
    element = np.arange(quads, dtype=np.uint64)[None, :]  # (1, Q)
    image = np.arange(first, first + images, dtype=np.uint64)[:, None]  # (N, 1)
    low, high = (np.uint64(call & 0xFFFFFFFF), np.uint64(call >> 32 & 0xFFFFFFFF))
    shape = (images, quads)
    counter = tuple(np.broadcast_to(word, shape) for word in (element, image, low, high))
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF))  # type: ignore[arg-type]
    return np.stack(words, axis=2).reshape(images, 4 * quads)[:, :elements].astype(np.uint32)  # (N, Q, 4) -> (N, E)
