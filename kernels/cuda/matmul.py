"""Matrix products, which are cuBLAS's: the one thing here that NVIDIA has written.

It gives the same bits on every run as long as all products are launched on one stream, as they are here.
"""

from cupy import cublas  # `import cupy` does not bring it

from kernels.layout import Array


def matmul(a: Array, b: Array, out: Array, add: bool = False) -> None:
    """out = a @ b, or out += a @ b: (M, K) and (K, N) -> (M, N). The operands may be views of transposed matrices."""
    if a.size and b.size:
        cublas.gemm("N", "N", a, b, out, 1.0, 1.0 if add else 0.0)
    elif not add:
        out.fill(0)
