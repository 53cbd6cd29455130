"""PyTorch, the outside oracle of the kernel tests. Where it is not installed, the tests that ask it are skipped."""

from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    module: ModuleType = pytest.importorskip("torch")
    module.set_num_threads(1)  # the arrays are tiny, and waking threads costs more than they save
    return module
