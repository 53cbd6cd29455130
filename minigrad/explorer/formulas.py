"""What each operation computes, and what its backward does with the gradient g of its output y, as formulas."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from minigrad import device
from minigrad.explorer.record import Operation


class Formula(NamedTuple):
    """backward: a line for each input, in their order, or one for all. where: what letters are that are no inputs."""

    forward: str
    backward: tuple[str, ...]
    where: str = ""


LETTERS = {"input": "x", "weight": "w", "bias": "b", "target": "t", "a": "a", "b": "b", "tensors[0]": ""}
"""What formulas call the inputs that forward calls so."""


def _same(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else str(pair)


def _window(stride: Any, padding: Any, dilation: Any) -> str:
    before = padding[0][0], padding[1][0]
    return f"s = stride = {_same(stride)}, p = padding = {_same(before)}, d = dilation = {_same(dilation)}"


def _conv2d(operation: Operation) -> Formula:
    stride, padding, dilation, groups = operation.function.window  # type: ignore[attr-defined]
    whose = f"; each o meets the channels c of its own group alone, one of {groups}" if groups > 1 else ""
    bias = "" if operation.inputs[2] is None else "b[o] + "
    return Formula(
        f"y[o,i,j] = {bias}Σ c,u,v  x[c, i·s+u·d−p, j·s+v·d−p] · w[o,c,u,v]",
        (
            "x_grad[c,h,l] = Σ o,u,v  g[o,i,j] · w[o,c,u,v], over all i,j whose window meets h,l",
            "w_grad[o,c,u,v] = Σ n,i,j  g[o,i,j] · x[c, i·s+u·d−p, j·s+v·d−p]",
            "b_grad[o] = Σ n,i,j  g[o,i,j]",
        ),
        _window(stride, padding, dilation) + whose,
    )


def _linear(operation: Operation) -> Formula:
    bias = "" if operation.inputs[2] is None else " + b"
    return Formula(f"y = x · wᵀ{bias}", ("x_grad = g · w", "w_grad = gᵀ · x", "b_grad = Σ n  g[n]"))


def _pool(forward: str, backward: str) -> Callable[[Operation], Formula]:
    """The formula of a pool whose window slides."""

    def formula(operation: Operation) -> Formula:
        function: Any = operation.function
        return Formula(forward, (backward,), _window(function.stride, function.padding, function.dilation))

    return formula


def _batch_norm(operation: Operation) -> Formula:
    function: Any = operation.function
    _, weight, bias = operation.inputs
    y = ("x̂" if weight is None else "w · x̂") + ("" if bias is None else " + b")
    forward = f"x̂ = (x − mean) / √(variance + ε), both {{}}\ny = {y}"
    x_grad = ("1" if weight is None else "w") + " / √(variance + ε) · "
    learned = ((weight, "w_grad = Σ g · x̂"), (bias, "b_grad = Σ g"))
    others = tuple(text for array, text in learned if array is not None)
    where = f"ε = {function.eps:g}"
    if function.statistics is None:
        x_grad = f"x_grad = {x_grad}(g − mean(g) − x̂ · mean(g · x̂))"
        return Formula(forward.format("over the batch"), (x_grad, *others), where)
    given = forward.format("as training has left them: numbers that x does not move")
    return Formula(given, (f"x_grad = {x_grad}g", *others), where)


def _local_response_norm(operation: Operation) -> Formula:
    n, alpha, beta, k = operation.function.options  # type: ignore[attr-defined]
    return Formula(
        "s[c] = k + α/n · Σ x[c']², over the n channels around c\ny[c] = x[c] / s[c]^β",
        ("x_grad[c] = g[c] / s[c]^β − 2αβ/n · x[c] · Σ g[c'] · x[c'] / s[c']^(β+1)",),
        f"n = {n}, α = {alpha:g}, β = {beta:g}, k = {k:g}",
    )


def _dropout(operation: Operation) -> Formula:
    p = operation.function.p  # type: ignore[attr-defined]
    if p == 1:
        return Formula("y = 0", ("x_grad = 0",), "p = 1")
    where = f"p = {p:g}, m = 0 with probability p, else 1"
    return Formula("y = x · m / (1 − p)", ("x_grad = g · m / (1 − p)",), where)


def _cross_entropy(operation: Operation) -> Formula:
    """With the options that were given: smoothing, class weights, classes that do not count, the kind of reduction."""
    function: Any = operation.function
    *places, classes = function.shape  # (N, C), or (N, ..., C) for a class at each place of an image
    rows = "images" if len(places) == 1 else "places"
    k = "" if function.weight is None else "k[c] · "
    notes, share = [], ""
    if smoothing := function.label_smoothing:
        notes.append(f"t[c] = (1 − {smoothing:g}) · target[c] + {smoothing:g} / {classes}")
    known = [] if function.indices is None else device.host(function.indices).ravel().tolist()
    if ignored := known.count(function.ignore_index):
        notes.append(f"{ignored} of the {rows} are of class {function.ignore_index}, which does not count")
    ways = {"none": f"for each of the {rows}", "sum": f"summed over the {rows}", "mean": f"averaged over the {rows}"}
    if function.reduction == "mean":
        share = " / N"
        if k and known:
            ways["mean"] = f"summed over the {rows} and divided by the sum K of k[class]"
            share = " / K"
    all_t = "" if known and not k else f" · Σ {k}t[c]"  # that of a class number is 1
    kept = f"(1 − {smoothing:g}) · " if smoothing else ""
    backward = (
        f"x_grad[c] = g · (softmax(x)[c]{all_t} − {k}t[c]){share}",
        f"target_grad[c] = −g · {kept}{k}log softmax(x)[c]{share}",
    )
    forward = f"y = −Σ c  {k}t[c] · log softmax(x)[c], {ways[function.reduction]}"
    where = [f"{'target' if smoothing else 't'}[c] = 1 for the right class, else 0"] if known else []
    if share == " / N":
        where.append(f"N = {math.prod(places) - ignored}")
    return Formula("\n".join([forward, *notes]), backward, ", ".join(where))


def _pow(operation: Operation) -> Formula:
    k = operation.function.exponent  # type: ignore[attr-defined]
    return Formula(f"y = a^{k:g}", (f"a_grad = g · {k:g} · a^{k - 1:g}",))


FORMULAS: dict[str, Formula | Callable[[Operation], Formula]] = {
    "Conv2d": _conv2d,
    "Linear": _linear,
    "MatMul": Formula("y = a · b", ("a_grad = g · bᵀ", "b_grad = aᵀ · g")),
    "MaxPool2d": _pool(
        "y[c,i,j] = max u,v  x[c, i·s+u·d−p, j·s+v·d−p]",
        "x_grad[c,h,l] = Σ g[c,i,j], over the windows that h,l has won; the first of equal maxima wins",
    ),
    "AvgPool2d": _pool(
        "y[c,i,j] = Σ u,v  x[c, i·s+u·d−p, j·s+v·d−p] / places", "x_grad[c,h,l] = Σ g[c,i,j] / places, over its windows"
    ),
    "AdaptiveAvgPool2d": Formula("y[c,i,j] = mean of x[c] over window i,j", ("x_grad[c,h,l] = Σ g[c,i,j] / places",)),
    "ReLU": Formula("y = max(x, 0)", ("x_grad = g where y > 0, else 0",)),
    "Softmax": Formula("y = exp(x) / Σ exp(x)", ("x_grad = y · (g − Σ g·y)",)),
    "LogSoftmax": Formula("y = x − log Σ exp(x)", ("x_grad = g − exp(y) · Σ g",)),
    "CrossEntropy": _cross_entropy,
    "BatchNorm": _batch_norm,
    "LocalResponseNorm": _local_response_norm,
    "Dropout": _dropout,
    "Cat": Formula("y = one input after another", ("each input receives its own part of g",)),
    "Pad": Formula("y = a with a border", ("a_grad = g without the border",)),
    "Reshape": Formula("y = a in another shape", ("a_grad = g in the old shape",)),
    "Permute": Formula("y = a with its axes in another order", ("a_grad = g with its axes back in order",)),
    "Index": Formula("y = a[key]", ("a_grad[key] += g, 0 elsewhere",)),
    "Move": Formula("y = a, on another device", ("a_grad = g, back where a is",)),
    "Cast": Formula("y = a, in another dtype", ("a_grad = g, in the dtype of a",)),
    "Add": Formula("y = a + b", ("a_grad = g", "b_grad = g")),
    "Sub": Formula("y = a − b", ("a_grad = g", "b_grad = −g")),
    "Mul": Formula("y = a · b", ("a_grad = g · b", "b_grad = g · a")),
    "Div": Formula("y = a / b", ("a_grad = g / b", "b_grad = −g · a / b²")),
    "Pow": _pow,
    "Exp": Formula("y = exp(a)", ("a_grad = g · y",)),
    "Log": Formula("y = log(a)", ("a_grad = g / a",)),
    "Sum": Formula("y = Σ a", ("a_grad = g, for each summand",)),
    "Max": Formula("y = max a", ("a_grad = g at the maximum, shared among equal ones",)),
    "MaxAlong": Formula("y = max a along an axis", ("a_grad = g at the first maximum",)),
}
"""By the operation's name; where the formula depends on options, what makes it of the operation. A sum over windows is
over those that lie on the image."""


def formula_of(operation: Operation) -> tuple[str, str]:
    """The operation's formula forward and backward: of those gradients that it had to compute, with the values of the
    letters that are options. For an operation of a user's own the first line of its docstring, and ""."""
    function = operation.function
    if function.name not in FORMULAS or not type(function).__module__.startswith("minigrad.ops."):
        lines = (type(function).__doc__ or "").strip().splitlines()
        return lines[0] if lines else "", ""
    known = FORMULAS[function.name]
    forward, backward, where = known if isinstance(known, Formula) else known(operation)
    if len(backward) == len(function.needs):
        backward = tuple(line for line, needed in zip(backward, function.needs, strict=True) if needed)
    if getattr(function, "activation", None):
        forward, backward = f"{forward}\ny = max(y, 0)", ("g = g where y > 0, else 0", *backward)
    arguments = zip(operation.arguments, operation.inputs, strict=True)
    letters = ((LETTERS.get(name, ""), name) for name, value in arguments if value is not None)
    renamed = ", ".join(f"{letter} = {name}" for letter, name in letters if letter not in ("", name))
    legend = "; ".join(part for part in (renamed, where) if part)
    return forward + (f"\nwhere {legend}" if legend else ""), "\n".join(backward)
