"""The matrices of Winograd's minimal filtering, and the small transforms with them, 16 channels at a time.

F(m, r) computes m neighbouring outputs of a filter with r taps with n = m + r - 1 multiplications instead of m * r:

    y = A^T [(G g) * (B^T d)]          in two dimensions     Y = A^T [(G g G^T) * (B^T d B)] A

Both polynomials are evaluated at n - 1 points and at infinity, multiplied there, and the product is read off again
(A. Toom 1963, S. Cook 1966; S. Winograd, "Arithmetic complexity of computations", 1980; A. Lavin and S. Gray, "Fast
algorithms for convolutional neural networks", 2016, section 4). Small points that are simple fractions keep the
rounding errors small (B. Barabasz et al., "Error analysis and improving the accuracy of Winograd convolution for deep
neural networks", 2020).
"""

from fractions import Fraction
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from kernels.cpu.vectors import VECTOR, Vectors, number

Matrix = list[list[Fraction]]

POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-1, 2))


class Matrices(NamedTuple):
    """F(m, r): output (m, n), weight (n, r), input (n, n), as Lavin and Gray's A^T, G and B^T."""

    output: Matrix
    weight: Matrix
    input: Matrix


def _product(factors: list[tuple[Fraction, Fraction]]) -> list[Fraction]:
    """The product of polynomials (c0, c1) = c0 + c1 x, as coefficients from the lowest power."""
    result = [Fraction(1)]
    for low, high in factors:
        result = [a * low + b * high for a, b in zip([*result, Fraction(0)], [Fraction(0), *result], strict=True)]
    return result


def matrices(m: int, r: int) -> Matrices:
    """The matrices of F(m, r), from the first m + r - 2 of POINTS and infinity. ValueError if there are not so many."""
    if m + r - 2 > len(POINTS):
        raise ValueError(f"F({m}, {r}) needs {m + r - 2} points, and there are {len(POINTS)}")
    points = POINTS[: m + r - 2]
    output = [[point**i for point in points] + [Fraction(i == m - 1)] for i in range(m)]
    weight, input = [], []
    for point in points:
        others = [(-other, Fraction(1)) for other in points if other != point]
        scale = Fraction(1)
        for low, _ in others:
            scale *= point + low
        weight.append([point**k / scale for k in range(r)])
        input.append([*_product(others), Fraction(0)])
    weight.append([Fraction(k == r - 1) for k in range(r)])
    input.append(_product([(-point, Fraction(1)) for point in points]))
    return Matrices(output, weight, input)


def transposed(matrix: Matrix) -> Matrix:
    """Rows as columns."""
    return [list(column) for column in zip(*matrix, strict=True)]


def _combine(emit: Vectors, terms: list[tuple[Fraction, ir.Value]]) -> ir.Value | None:
    """The sum of factor * vector; None if all factors are 0."""
    total = None
    for factor, vector in sorted(terms, key=lambda term: term[0] != 1):  # begin with one that needs no product
        if factor == 0:
            continue
        if total is None:
            total = vector if factor == 1 else emit.builder.fmul(vector, _constant(factor))
        elif abs(factor) == 1:
            total = (emit.builder.fadd if factor == 1 else emit.builder.fsub)(total, vector)
        else:
            total = emit.multiply_add(vector, _constant(factor), total)
    return total


def _constant(value: Fraction) -> ir.Constant:
    return ir.Constant(VECTOR, [float(value)] * VECTOR.count)


def _apply(emit: Vectors, matrix: Matrix, vectors: list[ir.Value]) -> list[ir.Value]:
    """matrix @ vectors. Rows of opposite points differ in signs only: they share their even and their odd part."""
    results: list[ir.Value] = []
    done: dict[int, ir.Value] = {}
    for a, row in enumerate(matrix):
        if a in done:
            results.append(done[a])
            continue
        terms = list(zip(row, vectors, strict=True))
        for b in range(a + 1, len(matrix)):
            if b not in done and all(abs(x) == abs(y) for x, y in zip(row, matrix[b], strict=True)):
                same = [x == y for x, y in zip(row, matrix[b], strict=True)]
                even = _combine(emit, [term for term, is_same in zip(terms, same, strict=True) if is_same])
                odd = _combine(emit, [term for term, is_same in zip(terms, same, strict=True) if not is_same])
                if even is not None and odd is not None:
                    results.append(emit.builder.fadd(even, odd))
                    done[b] = emit.builder.fsub(even, odd)
                    break
        else:
            total = _combine(emit, terms)
            results.append(emit.zero if total is None else total)
    return results


def _both_sides(emit: Vectors, matrix: Matrix, square: list[list[ir.Value]]) -> list[list[ir.Value]]:
    """matrix @ square @ matrix^T, each element of `square` a vector of channels."""
    columns = [_apply(emit, matrix, list(column)) for column in zip(*square, strict=True)]
    return [_apply(emit, matrix, list(row)) for row in zip(*columns, strict=True)]


def _load_square(
    emit: Vectors, address: ir.Value, size: int, row_step: ir.Value, column_step: ir.Value, mask: ir.Value
) -> list[list[ir.Value]]:
    source, multiply = emit.pointer(address), emit.builder.mul
    rows = [emit.offset(source, multiply(row_step, number(i))) for i in range(size)]
    return [[emit.load(emit.offset(row, multiply(column_step, number(j))), mask) for j in range(size)] for row in rows]


def transform(matrix: Matrix) -> Any:
    """An intrinsic that writes matrix @ square @ matrix^T for up to LANES channels."""

    @intrinsic
    def apply(
        typing: Any, source: Any, row_step: Any, column_step: Any, target: Any, target_step: Any, channels: Any
    ) -> Any:
        """source: address; element (i, j) lies i * row_step + j * column_step floats behind it. target: address; the
        results lie target_step floats apart, in row order."""

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            source, row_step, column_step, target, target_step, channels = arguments
            emit = Vectors(builder)
            mask, place = emit.first_lanes(channels), emit.pointer(target)
            square = _load_square(emit, source, len(matrix[0]), row_step, column_step, mask)
            for row in _both_sides(emit, matrix, square):
                for vector in row:
                    emit.store(vector, place, mask)
                    place = emit.offset(place, target_step)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), generate

    return apply


def output_transform(matrix: Matrix) -> Any:
    """An intrinsic that finishes a tile of output pixels: max(start + matrix @ square @ matrix^T, floor)."""

    @intrinsic
    def finish(
        typing: Any, source: Any, row_step: Any, column_step: Any, target: Any, target_row_step: Any,
        target_column_step: Any, rows: Any, columns: Any, spare: Any, start: Any, add: Any, floor: Any, channels: Any,
    ) -> Any:
        """As `transform`, but of the results only `rows` x `columns` lie on the image; the others go to `spare`.

        start: address of a vector to begin with, unless `add`: then the target itself.
        """

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            source, row_step, column_step, target, down, right, rows, columns, spare, start, add, floor, channels = (
                arguments
            )
            emit = Vectors(builder)
            mask, target, spare = emit.first_lanes(channels), emit.pointer(target), emit.pointer(spare)
            start, least = emit.pointer(start), emit.splat(floor)
            adds = builder.icmp_signed("!=", add, number(0))
            square = _load_square(emit, source, len(matrix[0]), row_step, column_step, mask)
            for i, row in enumerate(_both_sides(emit, matrix, square)):
                for j, vector in enumerate(row):
                    inside = builder.and_(
                        builder.icmp_signed("<", number(i), rows), builder.icmp_signed("<", number(j), columns)
                    )
                    place = emit.offset(
                        target, builder.add(builder.mul(down, number(i)), builder.mul(right, number(j)))
                    )
                    place = builder.select(inside, place, spare)
                    begin = emit.load(builder.select(adds, place, start), mask)
                    emit.store(emit.at_least(builder.fadd(begin, vector), least), place, mask)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 11, types.float32, types.int64), generate

    return finish
