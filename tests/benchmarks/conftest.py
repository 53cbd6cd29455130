"""What the benchmarks' tests share."""

from collections.abc import Iterator

import pytest

from benchmarks import machine


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """PyTorch's threads wait for each other by spinning: on a machine that others use, tiny cases take seconds."""
    torch = machine.find_torch()
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
