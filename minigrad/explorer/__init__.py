"""The explorer: a step of a real network, forward and backward, as a page to walk through."""

from collections.abc import Callable, Mapping
from pathlib import Path

from minigrad.explorer.draw import draw as draw
from minigrad.explorer.record import record
from minigrad.tensor import Tensor


def explore(
    loss: Tensor | Callable[[], Tensor], path: str | Path, *, image: int = 0, channel: int | None = None,
    title: str = "One step", about: str = "", others: Mapping[str, Callable[[], Tensor]] | None = None,
) -> Path:
    """Run a step backward and write a page about it, index.html, into the folder `path`; returns the page's path.

    loss: a function that computes the loss, a tensor of one number, on a graph of any operations; it is called once.
        Or the tensor itself; then forward is over, and the page has of it only what operations have saved.
    image: which of a batch is drawn, the last one if there are not so many.
    channel: which output channel of each convolution and max-pool can be opened to single pixels; None, or where there
        is no such channel: the one with the largest gradient.
    title, about: the page's heading and the line below it.
    others: functions that compute other losses on the same network, by name: their gradients' norms are shown beside.

    Leaves' `grad` are added to, as by any backward pass. The times on the page are of this one run; what is compiled or
    loaded on first use is in them. TypeError if `loss` is neither a tensor nor a function, ValueError if it is more
    than one number or if `image` or `channel` is none, RuntimeError if there is no graph behind the loss or it has been
    walked before, OSError if the page cannot be written.
    """
    from minigrad.explorer.contents import contents  # here, so that only who explores loads it
    from minigrad.explorer.page import write_page

    for name, number in (("image", image), ("channel", channel)):
        if not isinstance(number, int | None) or (number is not None and number < 0):
            raise ValueError(f"{name}: given {number!r}, expected the number of one, from 0")
    for name, text in (("title", title), ("about", about)):
        if not isinstance(text, str):
            raise TypeError(f"{name}: given {type(text).__name__}, expected a str")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)  # now, and not only after the work is done
    step = record(loss)
    beside = {name: record(other) for name, other in (others or {}).items()}
    return write_page(folder, title, about, contents(step, beside, image, channel))
