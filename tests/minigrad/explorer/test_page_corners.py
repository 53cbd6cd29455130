"""The page where things are unusual: dilation, padded pools, very long rows, nothing kept, no gradient at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, functional as F, nn
from tests.minigrad.explorer.browser import Visit, chromium

LONG = 70_000
"""Numbers in a row: more than a canvas may be wide."""


class Unusual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dilated = nn.Conv2d(2, 3, 3, padding=2, dilation=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.outer = nn.Sequential(nn.Sequential(nn.Linear(48, 4), nn.ReLU()), nn.Linear(4, LONG))
        self.nothing = nn.Dropout(1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.dilated(x))  # (1, 2, 6, 6) -> (1, 3, 6, 6) -> (1, 3, 4, 4)
        return self.nothing(self.outer(F.flatten(x, 1))).sum()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def visit(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    minigrad.manual_seed(0)
    net = Unusual()
    net.dilated.weight.data[:] = 1
    image = np.arange(72, dtype=np.float32).reshape(1, 2, 6, 6)
    path = minigrad.explore(lambda: net(Tensor(image)), tmp_path_factory.mktemp("page"))
    opened = Visit(browser, path)
    yield opened
    opened.close(path)


def open_pixel(visit: Visit, name: str, pixel: str) -> None:
    visit.page.fill("#search", name)
    visit.page.press("#search", "Enter")
    visit.page.evaluate(f"goTo(at, [{pixel}])")
    visit.page.wait_for_function(f"document.getElementById('window')?.textContent.includes('({pixel})')")


def test_a_dilated_window_skips_rows_and_padding_is_counted_for_each_channel(visit: Visit) -> None:
    open_pixel(visit, "dilated", "0, 3")
    assert visit.text("#window") == (
        "Output pixel (0, 3) sees rows -2 to 2, each 2 from the last, and columns 1 to 5, each 2 from the last, "
        "of 2 input channels; 3 of the 9 places in each are padding."
    )


def test_a_pools_window_beyond_the_image_is_told_and_so_is_how_often_a_pixel_has_won(visit: Visit) -> None:
    open_pixel(visit, "pool", "3, 3")
    text = visit.text("#window")
    assert "sees rows 5 to 7 and columns 5 to 7; 8 of the 9 places lie outside the image. Input (5, 5) = " in text
    won = visit.page.evaluate("""async () => {
        const closer = operations.find(({ name }) => name === "MaxPool2d").closer;
        const [x, winner] = await Promise.all([arrayAt(closer.input), arrayAt(closer.winner)]);
        let count = 0;
        for (let row = 0; row < 4; row++) for (let column = 0; column < 4; column++) {
            const place = winner.values[row * 4 + column];
            const [h, l] = [row * 2 - 1 + Math.floor(place / 3), column * 2 - 1 + (place % 3)];
            count += h === 5 && l === 5;
        }
        return count;
    }""")
    assert ("It has won no other window." if won == 1 else f"It has won {won} windows, and receives ") in text


def test_the_table_of_products_stays_open_while_the_pixel_moves(visit: Visit) -> None:
    open_pixel(visit, "dilated", "2, 2")
    visit.page.click("#closer summary")
    visit.page.focus("#closer canvas[tabindex]")
    visit.page.keyboard.press("ArrowRight")
    visit.page.wait_for_function("document.getElementById('window').textContent.includes('(2, 3)')")
    assert visit.page.eval_on_selector("#closer details", "details => details.open")


def test_a_row_longer_than_a_canvas_is_folded(visit: Visit) -> None:
    open_pixel(visit, "dilated", "2, 2")
    visit.page.fill("#search", "outer.1")
    visit.page.press("#search", "Enter")
    canvas = visit.page.wait_for_selector("#panel > .array .maps canvas")
    assert visit.text("#panel > .array [data-figure=shape]") == f"(1, {LONG}) float32"
    assert max(canvas.evaluate("canvas => [canvas.width, canvas.height]")) < 2000
    assert canvas.get_attribute("aria-label") == "output: 1 maps of 274x256"  # 274 x 256 = 70,144
    colours = canvas.evaluate("""canvas => {
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return new Set(Array.from({ length: data.length / 4 }, (_, i) => data.slice(4 * i, 4 * i + 3).join())).size;
    }""")
    assert colours > 20


def test_where_nothing_is_kept_nothing_is_divided(visit: Visit) -> None:
    visit.page.fill("#search", "nothing")
    visit.page.press("#search", "Enter")
    assert "Each number is dropped." in visit.text("#closer")


def test_the_legend_has_a_zero_where_gradients_are_zero(visit: Visit) -> None:
    # Behind the dropout all are 0. The loss's own is 1, and the sum's passes 70,000 times that on.
    assert visit.page.eval_on_selector_all("#legend span", "all => all.map(each => each.innerText)") == [
        "0 and 1", "", "264.6, log scale",
    ]  # fmt: skip
    lightest, darkest = ("rgb(230, 200, 60)", "rgb(42, 20, 92)")
    style = visit.page.get_attribute("#legend .ramp", "style")
    assert style.index(darkest.replace(", ", " ")) < style.index(lightest.replace(", ", " "))


def test_operations_of_a_kind_are_numbered_and_a_leafs_gradients_are_added_up(browser: Any, tmp_path: Path) -> None:
    a = Tensor(np.array(3.0), requires_grad=True)
    opened = Visit(browser, minigrad.explore(lambda: a * a * 2 + a, tmp_path), hash="#step=3")
    assert opened.page.eval_on_selector_all("#names option", "all => all.map(each => each.value)") == [
        "Mul 1", "Mul 2", "Add",
    ]  # fmt: skip
    assert opened.text("#where") == "step 4 of 6, backward"
    opened.page.keyboard.press("End")
    assert opened.text("h2").startswith("Mul 1")
    assert "It comes from\nMul 2, norm 2" in opened.text("#panel").replace("\n\n", "\n")
    notes = opened.page.eval_on_selector_all("#panel .note", "all => all.map(each => each.innerText)")
    assert notes.count("It is used 3 times (Mul 1, Mul 1, Add), and its gradient is the sum of all:") == 2
    values = opened.page.eval_on_selector_all("[data-figure=value]", "all => all.map(each => each.innerText)")
    assert values == ["2", "6", "13", "6", "13"]  # 2 comes in; 2·3 go to each factor; d(2a² + a)/da = 4a + 1 in all
    opened.page.keyboard.press("Home")
    assert "a, a leaf: 3, () float64" in opened.text("#panel")
    opened.close(tmp_path / "index.html")


def test_branches_stand_in_the_order_in_which_they_are_joined(browser: Any, tmp_path: Path) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.middle, self.right = (nn.Sequential(nn.Linear(3, 2), nn.ReLU()) for _ in range(3))

        def forward(self, x: Tensor) -> Tensor:
            x = x * 2
            return F.cat([self.left(x), self.middle(x), self.right(x)], 1).sum()

    net, x = Branches(), Tensor(np.ones((1, 3), np.float32), requires_grad=True)
    opened = Visit(browser, minigrad.explore(lambda: net(x), tmp_path))
    for _ in range(2):
        places = [
            opened.page.eval_on_selector(f"[data-id='{name}']", "node => node.getBoundingClientRect().x")
            for name in ("left", "middle", "right")
        ]
        assert places == sorted(places)
        opened.page.click("#unfold")
    opened.close(tmp_path / "index.html")


def test_labels_of_modules_in_modules_are_not_crossed_by_frames(visit: Visit) -> None:
    visit.page.click("#unfold")
    boxes: dict[str, Any] = visit.page.evaluate("""() => {
        const box = (element) => (({ left, top, right, bottom }) => [left, top, right, bottom])(
            element.getBoundingClientRect());
        const clusters = [...document.querySelectorAll("#drawing .cluster")];
        return Object.fromEntries(clusters.map((cluster) =>
            [cluster.dataset.id, [box(cluster.querySelector("text")), box(cluster.querySelector("rect"))]]));
    }""")
    assert {"outer", "outer.0"} <= set(boxes)
    visit.screenshot("frames")
    (_, label_top, _, label_bottom), (_, frame_top, _, _) = boxes["outer"]
    (_, inner_top, _, _) = boxes["outer.0"][1]
    assert frame_top - label_top < 0.1  # of a pixel
    assert label_bottom - inner_top < 0.1
