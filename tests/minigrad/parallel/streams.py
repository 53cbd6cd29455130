"""What NCCL is told, in which stream, and what waits for what: each of two ranks prints "right".

    mpiexec -n 2 python -m tests.minigrad.parallel.streams
"""

import numpy as np

from minigrad.parallel import join
from tests import cupy_standin
from tests.cupy_standin import devices

if __name__ == "__main__":
    world = join()
    with cupy_standin.installed() as cupy:
        cupy.cuda.Device(world.rank).use()
        array, numbers = (cupy.asarray(np.full(3, world.rank + 1, dtype)) for dtype in (np.float32, np.int64))
        usual = cupy.cuda.get_current_stream()
        world.start_sum(array)
        world.start_sum(array)
        world.finish()
        world.sum(numbers)
        (beside,) = [stream for stream in devices.streams if stream is not usual]
        first, begun, second, again = beside._history
        assert (begun, again) == ("allReduce", "allReduce")
        assert first._stream is second._stream is usual  # what backward had been told came before
        waited, summed = usual._history
        assert waited._stream is beside
        assert waited._number == len(beside._history)  # after all that was begun
        assert summed == "allReduce"
        np.testing.assert_array_equal(array.get(), np.full(3, 6))
        np.testing.assert_array_equal(numbers.get(), np.full(3, 3))
        print("right", flush=True)
