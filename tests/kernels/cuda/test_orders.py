"""A card promises no order of threads and blocks: whatever it is, the bits must be the same."""

from typing import Any

import numpy as np
import pytest

import kernels
from tests import on_card
from tests.cupy_standin import gpp
from tests.kernels.cuda.samples import DTYPES, samples

pytestmark = on_card.NEEDS_GPP
KERNELS = [kernel for family in kernels.TABLE.values() for kernel in family]


def flat(value: Any) -> list[Any]:
    """The arrays of results or arguments, which may be lists of them."""
    if isinstance(value, tuple | list):
        return [array for item in value for array in flat(item)]
    return [value] if isinstance(value, np.ndarray) else []


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_same_bits_in_every_order(kernel: str, dtype: type) -> None:
    outcomes = []
    for order in gpp.ORDERS:
        with gpp.in_order(order), on_card.serving(on_card.STANDIN):
            table = kernels.serving(np.zeros(1, np.float32))
            drawn = list(samples(kernel, dtype))  # drawn anew, since some kernels change their arguments
            results = [getattr(table, kernel)(*arguments) for arguments in drawn]
            outcomes.append([array.tobytes() for array in flat([results, [list(arguments) for arguments in drawn]])])
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_every_kernel_has_samples_of_packs_and_of_single_numbers() -> None:
    """Otherwise half of the code would be run by nobody here."""
    launched: set[str] = set()
    with on_card.serving(on_card.STANDIN), pytest.MonkeyPatch.context() as patch:
        run = gpp.run
        patch.setattr(gpp, "run", lambda text, name, *rest: launched.add(name) or run(text, name, *rest))  # type: ignore[func-returns-value]
        table = kernels.serving(np.zeros(1, np.float32))
        for kernel in KERNELS:
            for arguments in samples(kernel, np.float32):
                getattr(table, kernel)(*arguments)
    from tests.on_card import TEXTS

    names = {name for key, text in TEXTS.items() if key.endswith("float32") for name in gpp.kernel_names(text)}
    assert names - launched == set()
