"""Matrix products, as cuBLAS makes them."""

from tests.cupy_standin.array import ndarray, refuse, unwrap
from tests.cupy_standin.counters import counters
from tests.cupy_standin.modules import cublas, device, libs_cublas, public


@public(cublas)
def gemm(
    transa: str, transb: str, a: ndarray, b: ndarray, out: ndarray | None = None, alpha: float = 1.0, beta: float = 0.0
) -> ndarray:
    """out = alpha * op(a) @ op(b) + beta * out. Operands that are neither C- nor F-contiguous would be copied."""
    assert out is not None
    left, right, result = unwrap(a), unwrap(b), unwrap(out)
    assert left.ndim == right.ndim == result.ndim == 2
    assert left.dtype == right.dtype == result.dtype
    for name, operand in (("a", left), ("b", right)):
        if not (operand.flags.c_contiguous or operand.flags.f_contiguous):
            refuse(f"gemm: {name} of strides {operand.strides}, which would be copied")
    if not result.flags.c_contiguous:
        refuse(f"gemm: out of strides {result.strides}, which would be copied")
    if 0 in (*left.shape, *right.shape):
        refuse("gemm: an empty operand, which cuBLAS takes for an error")
    left, right = (left.T if transa == "T" else left), (right.T if transb == "T" else right)
    counters.launch("gemm", left, right, result, *([result] if beta else []))
    if not counters.dry:
        product = alpha * (left @ right)
        result[...] = product + beta * result if beta else product
    return out


@public(device)
def get_cublas_handle() -> int:
    return 1


libs_cublas.CUBLAS_DEFAULT_MATH = 0  # type: ignore[attr-defined]
math_modes: list[int] = []


@public(libs_cublas)
def setMathMode(handle: int, mode: int) -> None:  # noqa: N802  (CuPy's name)
    math_modes.append(mode)
