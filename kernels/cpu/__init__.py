"""Every kernel in Numba: compiled on first use, on all cores, for float32.

Where to begin. jit.py says how kernels are compiled and share the cores. A kernel without matrix products, such as
those of shape.py or pool.py, is one file. Convolution is several, from the outside in:

    conv.py                 which algorithm, by the shape
    matmul.py               1x1: rows of pixels times a matrix              all of them cut their work into
    pointwise.py                and all of its backward in one pass         blocks.py   what fits a cache
    correlate.py            any window, forward and input gradient          gemm.py     matrix products of any size
    weight_grad.py              and its weight gradient                     microkernel.py   a tile of one, in registers
    winograd.py             3x3 and 5x5 with fewer multiplications          vectors.py  single vector instructions
    winograd_weight_grad.py     and their weight gradient                   sums.py     what threads have summed
"""
