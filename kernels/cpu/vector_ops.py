"""Single vectors copied and added, for runs too short for a compiled loop's preparations to pay; and memory fetched."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from kernels.cpu.vectors import Vectors, number


@intrinsic
def copy_vector(typing: Any, source: Any, output: Any, masked: Any, target: Any, lanes: Any) -> Any:
    """target = source, 0 from lane `lanes` on, and 0 where `masked` and output is not above 0 (it passes at NaN).

    source, output and target are addresses. A whole vector is written.
    """

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        source, output, masked, target, lanes = arguments
        emit = Vectors(builder)
        mask, is_masked = emit.first_lanes(lanes), builder.icmp_signed("!=", masked, number(0))
        vector = emit.load(emit.pointer(source), mask)
        gate = emit.load(emit.pointer(builder.select(is_masked, output, source)), mask)
        blocked = builder.and_(builder.fcmp_ordered("<=", gate, emit.zero), emit.splat(is_masked, mask.type))
        emit.store(builder.select(blocked, emit.zero, vector), emit.pointer(target))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), generate


@intrinsic
def add_vector(typing: Any, source: Any, target: Any) -> Any:
    """target += source, whole vectors at two addresses."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        emit = Vectors(builder)
        source, target = (emit.pointer(address) for address in arguments)
        emit.store(builder.fadd(emit.load(target), emit.load(source)), target)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def read_number(typing: Any, address: Any) -> Any:
    """The float32 at an address."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        return builder.load(Vectors(builder).pointer(arguments[0]), typ=ir.FloatType())

    return types.float32(types.int64), generate


@intrinsic
def fetch(typing: Any, address: Any) -> Any:
    """Let the processor bring the cache line at an address near while it goes on; no memory need be there."""

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [ir.PointerType(), *[integer] * 3])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        to_read, keep, data = (ir.Constant(integer, value) for value in (0, 3, 1))
        builder.call(prefetch, [Vectors(builder).pointer(arguments[0]), to_read, keep, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate
