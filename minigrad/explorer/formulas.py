"""What each operation computes, and what its backward does with the gradient g of its output y, as formulas."""

from collections.abc import Callable
from typing import Any, NamedTuple

from minigrad import device
from minigrad.function import Function


class Formula(NamedTuple):
    forward: str
    backward: str


def _conv2d(function: Any) -> Formula:
    groups = function.window[-1]
    whose = f"\neach o meets the channels c of its own group alone, one of {groups}" if groups > 1 else ""
    return Formula(
        f"y[o,i,j] = b[o] + Σ c,u,v  x[c, i·s+u·d−p, j·s+v·d−p] · w[o,c,u,v]{whose}",
        "x_grad[c,h,l] = Σ o,u,v  g[o,i,j] · w[o,c,u,v], over all i,j whose window meets h,l\n"
        "w_grad[o,c,u,v] = Σ n,i,j  g[o,i,j] · x[c, i·s+u·d−p, j·s+v·d−p]\n"
        f"b_grad[o] = Σ n,i,j  g[o,i,j]{whose}",
    )


def _batch_norm(function: Any) -> Formula:
    forward = "x̂ = (x − mean) / √(variance + ε), both {}\ny = w · x̂ + b"
    backward = "w_grad = Σ g · x̂,   b_grad = Σ g\nx_grad = w / √(variance + ε) · {}"
    if function.statistics is None:
        return Formula(forward.format("over the batch"), backward.format("(g − mean(g) − x̂ · mean(g · x̂))"))
    return Formula(forward.format("as training has left them: numbers that x does not move"), backward.format("g"))


def _dropout(function: Any) -> Formula:
    if function.p == 1:
        return Formula("y = 0: p is 1", "x_grad = 0")
    return Formula("y = x · m / (1 − p), where m is 1 with probability 1 − p", "x_grad = g · m / (1 − p)")


def _cross_entropy(function: Any) -> Formula:
    """With the options that were given: smoothing, class weights, classes that do not count, the kind of reduction."""
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
        if k and function.indices is not None:
            ways["mean"] = f"summed over the {rows} and divided by the sum K of k[class]"
            share = " / K"
    all_t = "" if function.indices is not None and not k else f" · Σ {k}t[c]"  # that of a class number is 1
    backward = [f"x_grad[c] = g · (softmax(x)[c]{all_t} − {k}t[c]){share}"]
    if function.needs[1]:
        kept = f"(1 − {smoothing:g}) · " if smoothing else ""
        backward.append(f"target_grad[c] = −g · {kept}{k}log softmax(x)[c]{share}")
    forward = f"y = −Σ c  {k}t[c] · log softmax(x)[c], {ways[function.reduction]}"
    return Formula("\n".join([forward, *notes]), "\n".join(backward))


FORMULAS: dict[str, Formula | Callable[[Any], Formula]] = {
    "Conv2d": _conv2d,
    "Linear": Formula("y = x · wᵀ + b", "x_grad = g · w\nw_grad = gᵀ · x\nb_grad = Σ n  g[n]"),
    "MatMul": Formula("y = a · b", "a_grad = g · bᵀ\nb_grad = aᵀ · g"),
    "MaxPool2d": Formula(
        "y[c,i,j] = max u,v  x[c, i·s+u·d−p, j·s+v·d−p]",
        "x_grad[c,h,l] = Σ g[c,i,j], over the windows that h,l has won; the first of equal maxima wins",
    ),
    "AvgPool2d": Formula(
        "y[c,i,j] = Σ u,v  x[c, i·s+u·d−p, j·s+v·d−p] / places", "x_grad[c,h,l] = Σ g[c,i,j] / places, over its windows"
    ),
    "AdaptiveAvgPool2d": Formula("y[c,i,j] = mean of x[c] over window i,j", "x_grad[c,h,l] = Σ g[c,i,j] / places"),
    "ReLU": Formula("y = max(x, 0)", "x_grad = g where y > 0, else 0"),
    "Softmax": Formula("y = exp(x) / Σ exp(x)", "x_grad = y · (g − Σ g·y)"),
    "LogSoftmax": Formula("y = x − log Σ exp(x)", "x_grad = g − exp(y) · Σ g"),
    "CrossEntropy": _cross_entropy,
    "BatchNorm": _batch_norm,
    "LocalResponseNorm": Formula(
        "y[c] = x[c] / (k + α/n · Σ x[c']²)^β, over the n channels around c",
        "x_grad[c] = g[c] / s[c]^β − 2αβ/n · x[c] · Σ g[c'] · x[c'] / s[c']^(β+1)",
    ),
    "Dropout": _dropout,
    "Cat": Formula("y = one input behind the other", "each input receives its own part of g"),
    "Pad": Formula("y = x with a border", "x_grad = g without the border"),
    "Reshape": Formula("y = x in another shape", "x_grad = g in the old shape"),
    "Permute": Formula("y = x with its axes in another order", "x_grad = g with its axes back in order"),
    "Index": Formula("y = x[key]", "x_grad[key] += g, 0 elsewhere"),
    "Move": Formula("y = x, on another device", "x_grad = g, back where x is"),
    "Cast": Formula("y = x, in another dtype", "x_grad = g, in the dtype of x"),
    "Add": Formula("y = a + b", "a_grad = g\nb_grad = g"),
    "Sub": Formula("y = a − b", "a_grad = g\nb_grad = −g"),
    "Mul": Formula("y = a · b", "a_grad = g · b\nb_grad = g · a"),
    "Div": Formula("y = a / b", "a_grad = g / b\nb_grad = −g · a / b²"),
    "Pow": Formula("y = xᵏ", "x_grad = g · k · xᵏ⁻¹"),
    "Exp": Formula("y = exp(x)", "x_grad = g · y"),
    "Log": Formula("y = log(x)", "x_grad = g / x"),
    "Sum": Formula("y = Σ x", "x_grad = g, for each summand"),
    "Max": Formula("y = max x", "x_grad = g at the maximum, shared among equal ones"),
    "MaxAlong": Formula("y = max x along an axis", "x_grad = g at the first maximum"),
}
"""By the operation's name; where the formula depends on options, what makes it of the operation. A sum over windows is
over those that lie on the image."""


def formula_of(function: Function) -> Formula:
    """The operation's formula; for one of a user's own the first line of its docstring."""
    if function.name in FORMULAS and type(function).__module__.startswith("minigrad.ops."):
        known = FORMULAS[function.name]
        formula = known if isinstance(known, Formula) else known(function)
        if getattr(function, "activation", None):
            return Formula(f"{formula.forward}\ny = max(y, 0)", f"g = g where y > 0, else 0\n{formula.backward}")
        return formula
    lines = (type(function).__doc__ or "").strip().splitlines()
    return Formula(lines[0] if lines else "", "")
