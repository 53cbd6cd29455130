"""Every kernel in Numba: compiled on first use, on all cores, for float32.

Where to begin. jit.py says how kernels are compiled and share the cores. A kernel without matrix products, such as
those of shape.py or pool.py, is one file. Convolution is several, from the outside in:

    conv.py                 which algorithm, by the shape
    matmul.py               1x1: rows of pixels times a matrix              all of them cut their work into
    correlate.py            any window, forward and input gradient          blocks.py   what fits a cache
    weight_grad.py          its weight gradient                             gemm.py     matrix products of any size
    winograd.py             3x3 and 5x5 with fewer multiplications          microkernel.py   a tile of one, in registers
    winograd_weight_grad.py     and their weight gradient                   vectors.py  single vector instructions
"""
