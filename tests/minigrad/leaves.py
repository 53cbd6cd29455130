"""What the tests of the tape share: small float32 leaves, and their gradients as lists."""

from typing import Any

import numpy as np

from minigrad import Tensor


def leaf(*numbers: float) -> Tensor:
    return Tensor(np.array(numbers, np.float32), requires_grad=True)


def grad_of(tensor: Tensor) -> list[Any]:
    assert tensor.grad is not None
    return tensor.grad.tolist()
