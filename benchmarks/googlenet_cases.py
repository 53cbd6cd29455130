"""The cases: what a training step of GoogLeNet really calls, and a table for the kernels that it does not.

The step is run on one image and on two, with a kernel table that notes every call. Where an array's length differs
between the two runs it counts images, and so the cases hold for any batch.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import kernels
from benchmarks.cases import BATCH, Case, Spec, case, specs
from googlenet import GoogLeNet
from kernels.layout import nchw
from kernels.views import COLUMNS
from minigrad import Tensor, functional as F, optim, random

IMAGES = Spec((BATCH, 96, 96, 1))
STEM = Spec((BATCH, 48, 48, 64))
MAPS = Spec((BATCH, 24, 24, 192))
SMALL_MAPS = Spec((BATCH, 6, 6, 512))
POOLED = Spec((BATCH, 1, 1, 512))
LOGITS = Spec((BATCH, 1000))
CHANNELS = Spec((192,))
VIEWS = Spec((BATCH, len(COLUMNS)), "int32")
AUXILIARY_POOL: dict[str, Any] = {"kernel": (5, 5), "stride": (3, 3), "padding": ((0, 0), (0, 0))}
DIVISOR = {"count_include_pad": True, "divisor_override": None}
NORM: dict[str, Any] = {**dict.fromkeys(("mean", "variance", "weight", "bias"), CHANNELS), "eps": 1e-5}
RESPONSE = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0}

OTHERS = (
    case("avg_pool2d", x=SMALL_MAPS, **AUXILIARY_POOL, ceil_mode=False, **DIVISOR),
    case("avg_pool2d_backward", grad=POOLED, size=(6, 6), **AUXILIARY_POOL, **DIVISOR),
    case("relu", x=MAPS),
    case("relu_backward", grad=MAPS, output=MAPS),
    case("softmax", x=LOGITS, axis=1),
    case("softmax_backward", grad=LOGITS, output=LOGITS, axis=1),
    case("log_softmax", x=LOGITS, axis=1),
    case("log_softmax_backward", grad=LOGITS, output=LOGITS, axis=1),
    case("batch_statistics", x=MAPS),
    case("batch_norm", x=MAPS, **NORM, activation=None),
    case("batch_norm", x=MAPS, **NORM, activation="relu"),
    case("batch_norm_backward", grad=MAPS, x=MAPS, **NORM, activation=None, training=True),
    case("batch_norm_backward", grad=MAPS, x=MAPS, **NORM, activation="relu", training=True),
    case("local_response_norm", x=STEM, **RESPONSE),
    case("local_response_norm_backward", grad=STEM, x=STEM, **RESPONSE),
    case(
        "cross_entropy_target_grad", row_grad=Spec((BATCH,)), log_probabilities=LOGITS, weight=None,
        label_smoothing=0.0,
    ),
    case(
        "note_step", logits=LOGITS, target=Spec((BATCH,), "int64"), loss=Spec(()), step=1, record=Spec((2,)),
        halted=Spec((1,), "int64"),
    ),
    case("pad", x=IMAGES, amounts=((0, 0), (4, 4), (4, 4), (0, 0)), value=0.0),
    case("resize_bilinear", images=Spec((BATCH, 28, 28, 1), "uint8"), size=(96, 96), scale=1 / 255, shift=-0.5),
    case(
        "resize_bilinear", images=Spec((BATCH, 28, 28, 1), "uint8"), size=(96, 96), scale=1 / 255, shift=-0.5,
        views=VIEWS,
    ),
)
"""Representative calls of kernels that GoogLeNet has no use for, on arrays of its sizes at 96x96."""


def cases(image_size: int) -> dict[Case, int]:
    """All cases, in the kernel table's order, with how often a training step of GoogLeNet calls each."""
    counts = Counter(googlenet_calls(image_size))
    counts.update(dict.fromkeys(OTHERS, 0))
    order = [kernel for family in kernels.TABLE.values() for kernel in family]
    return dict(sorted(counts.items(), key=lambda item: order.index(item[0].kernel)))


def googlenet_calls(image_size: int) -> list[Case]:
    """Every call of a kernel in one training step of GoogLeNet, in the order of the calls."""
    one, two = (_calls_of_a_step(image_size, images) for images in (1, 2))
    return [_by_batch(a, b) for a, b in zip(one, two, strict=True)]


def _calls_of_a_step(image_size: int, images: int) -> list[Case]:
    """The calls of a step with SGD and, so that Adam is timed on the same parameters, one more step with Adam."""
    state = random.get_state()
    random.set_state(0, 0)  # dropout's seed and call are arguments, and must be the same in both runs
    model = GoogLeNet(image_size=image_size)
    optimizers = (optim.SGD(model.parameters(), momentum=0.9, weight_decay=2e-4), optim.Adam(model.parameters()))
    image = Tensor(nchw(np.zeros((images, image_size, image_size, 1), np.float32)))
    calls: list[Case] = []
    with kernels.backend("reference"), _noted(kernels.load("reference"), calls.append):
        F.cross_entropy(model(image), np.zeros(images, np.int64)).backward()
        for optimizer in optimizers:
            optimizer.step()
    random.set_state(*state)
    return calls


@contextmanager
def _noted(table: kernels.Kernels, note: Callable[[Case], None]) -> Iterator[None]:
    """Tell `note` of every call of a kernel. An observer would see operations; one operation calls several kernels."""
    originals = {kernel: getattr(table, kernel) for family in kernels.TABLE.values() for kernel in family}

    def noting(kernel: str, original: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(original)

        def call(*args: Any, **keywords: Any) -> Any:
            bound = signature.bind(*args, **keywords).arguments
            note(case(kernel, **{name: _described(value) for name, value in bound.items()}))
            return original(*args, **keywords)

        return call

    for kernel, original in originals.items():
        setattr(table, kernel, noting(kernel, original))
    try:
        yield
    finally:
        for kernel, original in originals.items():
            setattr(table, kernel, original)


def _described(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        order = sorted(range(value.ndim), key=lambda axis: -value.strides[axis])
        return Spec(value.shape, str(value.dtype), tuple(order))
    return tuple(map(_described, value)) if isinstance(value, tuple | list) else value


def _by_batch(one: Case, two: Case) -> Case:
    """The same call with one image and with two -> the call with BATCH images."""
    arguments = {}
    for (name, value), (_, doubled) in zip(one.arguments, two.arguments, strict=True):
        merged = tuple(
            b._replace(shape=tuple(m if m == n else BATCH for m, n in zip(a.shape, b.shape, strict=True)))
            for a, b in zip(specs(value), specs(doubled), strict=True)
        )
        arguments[name] = value if not merged else merged[0] if isinstance(value, Spec) else merged
    return case(one.kernel, **arguments)
