"""Philox4x32-10 for one counter, in Python's own integers.

Random bits without a state: each counter has its four words, always the same ones, and who knows the counter can
compute them. Ten times over, two of the four words are multiplied, and the halves of the products change places and
are mixed with the others and the key (J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as
1, 2, 3", 2011, section 3.3).
"""

WORD = 2**32

Words = tuple[int, int, int, int]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Four words of counter and two of key -> four words of random bits. A word is an integer below 2**32."""
    a, b, c, d = counter
    key0, key1 = key
    for _ in range(10):
        high0, low0 = divmod(a * 0xD2511F53, WORD)
        high1, low1 = divmod(c * 0xCD9E8D57, WORD)
        a, b, c, d = high1 ^ b ^ key0, low1, high0 ^ d ^ key1, low0
        key0, key1 = (key0 + 0x9E3779B9) % WORD, (key1 + 0xBB67AE85) % WORD
    return a, b, c, d
