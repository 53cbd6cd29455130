"""Vector instructions for the few loops where a compiler does not find them by itself.

Numba compiles scalar loops and leaves vectors to LLVM, which is enough for most kernels. The innermost loops of matrix
products and Winograd transforms are emitted here as LLVM instructions instead, through Numba's `@intrinsic`. Addresses
are plain int64 numbers in bytes; offsets count floats.
"""

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils

_FEATURES = llvmlite.binding.get_host_cpu_features()
LANES = 16 if _FEATURES.get("avx512f") else 8 if _FEATURES.get("avx") else 4
"""Floats in one vector register."""
MANY_REGISTERS = not (_FEATURES.get("sse2") and not _FEATURES.get("avx512f"))
"""Whether there are 32 vector registers (AVX-512, ARM) or 16."""

FLOAT = ir.FloatType()
INT = ir.IntType(64)
POINTER = ir.PointerType()
VECTOR = ir.VectorType(FLOAT, LANES)
MASK = ir.VectorType(ir.IntType(1), LANES)
ALIGN = ir.Constant(ir.IntType(32), 4)


def number(value: int) -> ir.Constant:
    """An int64 constant."""
    return ir.Constant(INT, value)


class Vectors:
    """Emits vector instructions at the place where `builder` stands."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        self.zero = ir.Constant(VECTOR, [0.0] * LANES)

    def pointer(self, address: ir.Value) -> ir.Value:
        """An int64 address as a pointer."""
        return self.builder.inttoptr(address, POINTER)

    def offset(self, pointer: ir.Value, floats: ir.Value) -> ir.Value:
        """The pointer so many floats further on."""
        return self.builder.gep(pointer, [floats], source_etype=FLOAT)

    def load_int(self, pointer: ir.Value, index: ir.Value) -> ir.Value:
        """The int64 number at `pointer[index]`."""
        return self.builder.load(self.builder.gep(pointer, [index], source_etype=INT), typ=INT)

    def splat(self, value: ir.Value, kind: ir.Type = VECTOR) -> ir.Value:
        """A vector with the value in all lanes."""
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def load_splat(self, pointer: ir.Value) -> ir.Value:
        """The float at `pointer` in all lanes."""
        return self.splat(self.builder.load(pointer, typ=FLOAT))

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """a * b + c, rounded once."""
        return self.builder.call(self._intrinsic("fma", VECTOR, [VECTOR] * 3), [a, b, c])

    def at_least(self, vector: ir.Value, floor: ir.Value) -> ir.Value:
        """The larger of the two in each lane; NaN in `vector` stays NaN."""
        below = self.builder.fcmp_ordered(">", floor, vector)
        return self.builder.select(below, floor, vector)

    def first_lanes(self, count: ir.Value) -> ir.Value:
        """A mask of the first `count` lanes."""
        lanes = ir.VectorType(INT, LANES)
        return self.builder.icmp_signed("<", ir.Constant(lanes, list(range(LANES))), self.splat(count, lanes))

    def load(self, pointer: ir.Value, mask: ir.Value | None = None) -> ir.Value:
        """The vector at `pointer`; lanes outside of the mask are 0 and their memory is not touched."""
        if mask is None:
            return self.builder.load(pointer, align=4, typ=VECTOR)
        function = self._intrinsic("masked.load", VECTOR, [POINTER, ALIGN.type, MASK, VECTOR], ".p0")
        return self.builder.call(function, [pointer, ALIGN, mask, self.zero])

    def store(self, vector: ir.Value, pointer: ir.Value, mask: ir.Value | None = None) -> None:
        """Write the vector to `pointer`, only the lanes in the mask."""
        if mask is None:
            self.builder.store(vector, pointer, align=4)
            return
        function = self._intrinsic("masked.store", ir.VoidType(), [VECTOR, POINTER, ALIGN.type, MASK], ".p0")
        self.builder.call(function, [vector, pointer, ALIGN, mask])

    def _intrinsic(self, name: str, result: ir.Type, arguments: list[ir.Type], suffix: str = "") -> Any:
        full_name = f"llvm.{name}.v{LANES}f32{suffix}"
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), full_name)
