"""What training makes smaller: the cross-entropy of a network's logits, auxiliary classifiers included."""

from typing import Any, NamedTuple

from kernels.layout import Array
from minigrad import functional as F
from minigrad.tensor import Tensor

AUX_WEIGHT = 0.3
"""How much the loss of an auxiliary classifier counts (C. Szegedy et al., 2015, section 5)."""


class Scored(NamedTuple):
    """Logits (N, C) and a mean loss, (): of one classifier, or the main one's logits with the loss of all."""

    logits: Tensor
    loss: Tensor


def score(outputs: Any, target: Array, label_smoothing: float = 0.0) -> tuple[Scored, dict[str, Scored]]:
    """The loss to minimise, and that of each classifier by name if there are several.

    outputs: logits, or a named tuple of several, the main ones first. target: class numbers (N,) int64.
    """
    if isinstance(outputs, Tensor):
        return Scored(outputs, F.cross_entropy(outputs, target, label_smoothing=label_smoothing)), {}
    heads = {
        name: Scored(logits, F.cross_entropy(logits, target, label_smoothing=label_smoothing))
        for name, logits in outputs._asdict().items()
    }
    main, *others = heads.values()
    loss = main.loss
    for other in others:
        loss = loss + AUX_WEIGHT * other.loss
    return Scored(main.logits, loss), heads
