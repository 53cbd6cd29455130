"""What each operation computes, and what its backward does with the gradient g of its output y, as formulas."""

from typing import NamedTuple

from minigrad.function import Function


class Formula(NamedTuple):
    forward: str
    backward: str


FORMULAS = {
    "Conv2d": Formula(
        "y[o,i,j] = b[o] + Σ c,u,v  x[c, i·s+u·d−p, j·s+v·d−p] · w[o,c,u,v]",
        "x_grad[c,h,l] = Σ o,u,v  g[o,i,j] · w[o,c,u,v], over all i,j whose window meets h,l\n"
        "w_grad[o,c,u,v] = Σ n,i,j  g[o,i,j] · x[c, i·s+u·d−p, j·s+v·d−p]\n"
        "b_grad[o] = Σ n,i,j  g[o,i,j]",
    ),
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
    "CrossEntropy": Formula(
        "y = −Σ c  t[c] · log softmax(x)[c], averaged over the images", "x_grad = g · (softmax(x) − t) / N"
    ),
    "BatchNorm": Formula(
        "x̂ = (x − mean) / √(variance + ε), both over the batch\ny = w · x̂ + b",
        "w_grad = Σ g · x̂,   b_grad = Σ g\nx_grad = w / √(variance + ε) · (g − mean(g) − x̂ · mean(g · x̂))",
    ),
    "LocalResponseNorm": Formula(
        "y[c] = x[c] / (k + α/n · Σ x[c']²)^β, over the n channels around c",
        "x_grad[c] = g[c] / s[c]^β − 2αβ/n · x[c] · Σ g[c'] · x[c'] / s[c']^(β+1)",
    ),
    "Dropout": Formula("y = x · m / (1 − p), where m is 1 with probability 1 − p", "x_grad = g · m / (1 − p)"),
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
"""By the operation's name. A sum over windows is over those that lie on the image."""


def formula_of(function: Function) -> Formula:
    """The operation's formula; for one of a user's own the first line of its docstring."""
    if function.name in FORMULAS and type(function).__module__.startswith("minigrad.ops."):
        formula = FORMULAS[function.name]
        if getattr(function, "activation", None):
            return Formula(f"{formula.forward}\ny = max(y, 0)", f"g = g where y > 0, else 0\n{formula.backward}")
        return formula
    lines = (type(function).__doc__ or "").strip().splitlines()
    return Formula(lines[0] if lines else "", "")
