"""The page in a real browser: it opens from disk, steps both ways, folds, opens pixels, finds, and asks for nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import Tensor, functional as F
from tests.minigrad.explorer import made_page
from tests.minigrad.explorer.browser import Visit, chromium
from tests.minigrad.explorer.made_page import LABELS
from tests.minigrad.explorer.pages import array_at, operation, read_page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def path(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_page.make(tmp_path_factory.mktemp("page"))


@pytest.fixture
def visit(browser: Any, path: Path) -> Iterator[Visit]:
    opened = Visit(browser, path)
    yield opened
    opened.close(path)


@pytest.fixture(scope="module")
def contents(path: Path) -> dict[str, Any]:
    return read_page(path)


def go_to(visit: Visit, name: str) -> None:
    visit.page.fill("#search", name)
    visit.page.press("#search", "Enter")


def test_it_opens_with_the_first_step(visit: Visit, contents: dict[str, Any]) -> None:
    count = len(contents["operations"]) + len(contents["backward"])
    assert visit.text("h1") == "A <step> & more"
    assert visit.text("#about") == f"about {{it}} The loss is {contents['loss']:.4g}."
    assert visit.text("#where") == f"step 1 of {count}, forward"
    assert visit.text("h2").startswith("conv1.conv · Conv2d")
    visit.screenshot("wide")


def test_the_whole_network_is_below_15_mb_and_ready_in_two_seconds(visit: Visit, path: Path) -> None:
    assert sum(file.stat().st_size for file in path.parent.rglob("*")) < 15e6
    assert visit.text("#panel > .array [data-figure=shape]") == "(2, 64, 48, 48) float32"
    assert float(visit.page.evaluate("document.body.dataset.ready")) < 2000  # milliseconds since it was opened


def test_it_steps_forward_to_the_loss_and_back_along_the_tape(visit: Visit, contents: dict[str, Any]) -> None:
    expected = [
        (number, direction)
        for direction, numbers in (("forward", range(len(contents["operations"]))), ("backward", contents["backward"]))
        for number in numbers
    ]
    walk = """button => {
        const seen = [];
        const note = () => {
            seen.push([Number(document.body.dataset.operation),
                       document.getElementById("where").textContent.split(", ")[1]]);
            // What is not there must not be printed, as "null" or the like.
            if ([...panel.childNodes].some((node) => node.nodeType !== Node.ELEMENT_NODE)) seen.push("stray text");
        };
        for (note(); !document.getElementById(button).disabled; note()) document.getElementById(button).click();
        return seen;
    }"""
    assert [tuple(each) for each in visit.page.evaluate(walk, "next")] == expected
    assert [tuple(each) for each in visit.page.evaluate(walk, "previous")] == expected[::-1]


def test_slider_keys_and_buttons_lead_to_the_same_places(visit: Visit, contents: dict[str, Any]) -> None:
    count, turn = len(contents["operations"]) + len(contents["backward"]), len(contents["operations"])
    for act, step in (
        (lambda: visit.page.keyboard.press("End"), count), (lambda: visit.page.click("#first"), 1),
        (lambda: visit.page.click("#turn"), turn + 1), (lambda: visit.page.keyboard.press("Home"), 1),
        (lambda: visit.page.keyboard.press("t"), turn + 1), (lambda: visit.page.click("#last"), count),
        (lambda: visit.page.fill("#slider", "12"), 13),
    ):  # fmt: skip
        act()
        assert visit.text("#where").startswith(f"step {step} of")


def test_what_flows_is_what_the_run_had(visit: Visit, contents: dict[str, Any]) -> None:
    found = operation(contents, "inception4a", "Cat")
    number = contents["operations"].index(found)
    for step, array in (
        (number, found["output"]),
        (len(contents["operations"]) + contents["backward"].index(number), found["gradient"]),
    ):
        visit.page.evaluate(f"location.hash = '#step={step}'")
        visit.page.wait_for_function(f"document.querySelector('#where').textContent.startsWith('step {step + 1} ')")
        figures = "#panel > .array [data-figure={}]"
        assert visit.text(figures.format("shape")) == f"({', '.join(map(str, array['shape']))}) float32"
        for name in ("mean", "std", "norm", "low", "high"):
            assert float(visit.text(figures.format(name))) == pytest.approx(array[name], rel=1e-3)
        visit.page.wait_for_selector("#panel > .array .maps canvas")


def test_a_module_unfolds_into_its_branches_and_folds_again(visit: Visit) -> None:
    def nodes() -> set[str]:
        return set(visit.page.eval_on_selector_all("#drawing [data-id]", "all => all.map(each => each.dataset.id)"))

    folded = nodes()
    assert "inception3a" in folded
    assert "inception3a.branch2" not in folded
    visit.page.click("[data-id=inception3a]")
    assert {"inception3a.branch2", "inception3a.branch3", "inception3a.branch4"} <= nodes()
    assert visit.page.get_attribute("[data-id=inception3a]", "aria-expanded") == "true"
    visit.screenshot("unfolded")
    visit.page.focus("[data-id=inception3a]")
    visit.page.keyboard.press("Enter")
    assert nodes() == folded
    visit.page.click("#unfold")
    operations = visit.page.eval_on_selector_all("[data-id^='#']", "all => all.length")
    assert operations == visit.page.evaluate("operations.length")
    visit.page.click("#fold")
    assert nodes() == folded


def window_of(closer: dict[str, Any], row: int, column: int, sides: tuple[int, int]) -> str:
    """The sentence about a pixel's window, by the definition of convolution and pooling."""
    edges = []
    for place, stride, padding, side in zip((row, column), closer["stride"], closer["padding"], sides, strict=True):
        edges += [place * stride - padding, place * stride - padding + side - 1]
    return f"Output pixel ({row}, {column}) sees rows {edges[0]} to {edges[1]} and columns {edges[2]} to {edges[3]}"


def test_a_convolutions_pixel_opens_to_its_window_by_mouse_and_by_keys(visit: Visit, contents: dict[str, Any]) -> None:
    go_to(visit, "conv1.conv")
    closer = operation(contents, "conv1.conv", "Conv2d")["closer"]
    output, gradient = (array_at(contents, closer[key]) for key in ("output", "gradient"))
    first = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    assert visit.text("#window").startswith(window_of(closer, int(first[0]), int(first[1]), (7, 7)))
    canvas = visit.page.wait_for_selector("#closer canvas[tabindex]")
    cell = canvas.bounding_box()["width"] / output.shape[1]
    canvas.click(position={"x": 4.5 * cell, "y": 9.5 * cell})
    visit.page.wait_for_function("document.querySelector('#window').textContent.includes('(9, 4)')")
    visit.page.keyboard.press("ArrowRight")
    visit.page.keyboard.press("ArrowDown")
    visit.page.wait_for_function("document.querySelector('#window').textContent.includes('(10, 5)')")
    assert visit.text("#window").startswith(window_of(closer, 10, 5, (7, 7)))
    assert visit.text("#where").startswith("step 1 of")  # arrow keys have moved the pixel and not the step
    x, weight = (array_at(contents, closer[key]) for key in ("input", "weight"))
    window = np.pad(x, ((0, 0), (3, 3), (3, 3)))[:, 20:27, 10:17]
    (total,) = re.findall(r"is ([-\d.e]+)[;.] ?", visit.text("#sum") + " ")
    assert float(total.rstrip(".")) == pytest.approx((window * weight).sum() + closer["bias"], rel=1e-3)
    visit.screenshot("pixel")


def test_a_click_hits_its_pixel_where_the_canvas_is_made_smaller(browser: Any, tmp_path: Path) -> None:
    x = Tensor(np.ones((1, 1, 8, 200), np.float32), requires_grad=True)
    path = minigrad.explore(lambda: F.max_pool2d(x, 1).sum(), tmp_path)
    opened = Visit(browser, path, width=390)
    canvas = opened.page.wait_for_selector("#closer canvas[tabindex]")
    box = canvas.bounding_box()
    assert box["width"] < canvas.evaluate("canvas => canvas.width")
    canvas.click(position={"x": 150.5 * box["width"] / 200, "y": 5.5 * box["height"] / 8})
    opened.page.wait_for_function("document.querySelector('#window').textContent.includes('(5, 150)')")
    opened.close(path)


@pytest.mark.parametrize("number", [True, float("inf")])
def test_a_page_opens_at_an_operation_with_any_number(browser: Any, tmp_path: Path, number: float) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    path = minigrad.explore(lambda: (x * number).sum(), tmp_path)
    opened = Visit(browser, path)
    assert f"b: {number}" in opened.text("#panel")
    opened.close(path)


def test_padding_is_told(visit: Visit) -> None:
    visit.page.goto(visit.page.url.split("#")[0] + "#step=0&pixel=0,0")
    visit.page.reload()
    visit.page.wait_for_selector("#window")
    assert visit.text("#window").startswith("Output pixel (0, 0) sees rows -3 to 3 and columns -3 to 3")
    assert "33 of the 49 places are padding" in visit.text("#window")  # 49 less the 16 of rows and columns 0 to 3


def test_a_max_pools_winner_is_shown(visit: Visit, contents: dict[str, Any]) -> None:
    go_to(visit, "maxpool1")
    closer = operation(contents, "maxpool1", "MaxPool2d")["closer"]
    x, gradient = (array_at(contents, closer[key]) for key in ("input", "gradient"))
    row, column = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    window = np.pad(x, 1, constant_values=-np.inf)[2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
    u, v = np.unravel_index(window.argmax(), window.shape)
    visit.page.wait_for_selector("#window")
    assert f"Input ({2 * row - 1 + u}, {2 * column - 1 + v}) = " in visit.text("#window")


def test_dropout_and_concatenation_show_their_own(visit: Visit) -> None:
    go_to(visit, "aux1.dropout")
    visit.page.wait_for_selector("#closer canvas")
    assert "dropped with probability 0.7" in visit.text("#closer")
    go_to(visit, "inception3a · Cat")
    rows = visit.page.eval_on_selector_all("#closer tr", "all => all.slice(1).map(row => row.innerText)")
    assert [re.findall(r"(\d+) to (\d+)", row)[0] for row in rows] == [
        ("0", "63"), ("64", "191"), ("192", "223"), ("224", "255"),
    ]  # fmt: skip
    shares = [[float(share) for share in re.findall(r"([\d.]+) %", row)] for row in rows]
    assert [of_channels for of_channels, _ in shares] == [25, 50, 12.5, 12.5]
    assert sum(of_gradient for _, of_gradient in shares) == pytest.approx(100, abs=0.3)


def test_nothing_is_said_to_go_back_to_the_images(visit: Visit) -> None:
    assert "The input needs no gradient, and nothing goes back to it." in visit.text("#owed")
    names = visit.page.eval_on_selector_all("#closer .strips > span", "all => all.map(each => each.innerText)")
    assert names == ["column", "weights", "products", "to the weights"]
    assert "x_grad" not in visit.text("#panel")
    go_to(visit, "conv2.conv")
    visit.page.wait_for_selector("#owed")
    assert "goes to the place in the input that met it, and times each number of the column" in visit.text("#owed")


def test_a_gradient_that_comes_from_several_operations_names_them_all(visit: Visit, contents: dict[str, Any]) -> None:
    visit.page.click("#turn")
    go_to(visit, "maxpool2")
    number = contents["operations"].index(operation(contents, "maxpool2", "MaxPool2d"))
    links = visit.page.eval_on_selector_all("#panel div.note a", "all => all.map(each => each.innerText)")
    assert links == [
        each["path"] + " · " + each["name"]
        for each in contents["operations"]
        if number in [given["source"] for given in each["inputs"]]
    ]
    assert len(links) == 4
    assert "The sum of 4 gradients" in visit.text("#panel div.note")
    visit.page.click("#panel div.note a >> nth=1")
    visit.page.wait_for_selector("[data-id='inception3a'][aria-expanded=true]")  # a link unfolds what it leads to
    assert visit.text("#where").endswith("backward")


def test_a_cross_entropy_shows_the_classes_of_the_image(visit: Visit, contents: dict[str, Any]) -> None:
    go_to(visit, "CrossEntropy")
    rows = visit.page.eval_on_selector_all("#closer tr", "all => all.slice(1).map(row => row.innerText)")
    table = np.array([[float(cell) for cell in row.split("\t")] for row in rows])
    classes, logits, probabilities, target, gradient = table.T
    assert classes.tolist() == list(range(10))
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(), probabilities, rtol=2e-3)
    assert target.tolist() == (np.arange(10) == LABELS[0]).tolist()
    scale = gradient[LABELS[0]] / (probabilities - target)[LABELS[0]]  # the mean of two images, and the head's weight
    np.testing.assert_allclose(gradient, (probabilities - target) * scale, atol=2e-3)
    assert scale in (pytest.approx(0.5, rel=1e-2), pytest.approx(0.15, rel=1e-2))
    assert visit.text("#panel [data-figure=value]")


def test_search_takes_words_in_any_order_and_what_is_said_of_operations(visit: Visit) -> None:
    for words, found in {"branch2 4c conv": "inception4c.branch2", "softmax": "Cross", "maxpool2": "maxpool2"}.items():
        go_to(visit, words)
        assert found in visit.text("h2")
    visit.page.keyboard.press("Escape")
    place = visit.text("#where")
    visit.page.keyboard.press("ArrowRight")
    assert visit.text("#where") != place


def test_search_finds_by_any_part_of_a_name_and_unfolds_to_it(visit: Visit) -> None:
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("4c.branch3.1")
    visit.page.keyboard.press("Enter")
    assert visit.text("h2").startswith("inception4c.branch3.1.conv · Conv2d")
    assert visit.text("#found") == "1 found"
    lit = visit.page.get_attribute("#drawing .node.lit", "aria-label")
    assert lit.startswith("inception4c.branch3.1.conv · Conv2d")
    visit.page.fill("#search", "nothing like it")
    visit.page.press("#search", "Enter")
    assert visit.text("#found") == "0 found"


def test_a_link_leads_to_its_step(browser: Any, path: Path, contents: dict[str, Any]) -> None:
    opened = Visit(browser, path, hash="#step=17")
    assert opened.text("#where").startswith("step 18 of")
    opened.page.keyboard.press("ArrowRight")
    assert opened.page.evaluate("location.hash") == "#step=18"  # page.url is told of it later
    opened.close(path)


def test_a_link_may_say_anything(browser: Any, path: Path) -> None:
    for hash, where in (("#step=1.5", "step 2 of"), ("#step=99999", "step "), ("#step=x&pixel=y,z", "step 1 of")):
        opened = Visit(browser, path, hash=hash)
        assert opened.text("#where").startswith(where)
        opened.close(path)
    opened = Visit(browser, path, hash="#step=0&pixel=999,-5")
    opened.page.wait_for_selector("#window")
    assert opened.text("#window").startswith("Output pixel (47, 0)")
    opened.close(path)


def test_steps_passed_in_a_hurry_leave_their_pixel_behind(visit: Visit, contents: dict[str, Any]) -> None:
    last = max(n for n, each in enumerate(contents["operations"]) if each["name"] == "Conv2d")
    visit.page.evaluate(f"goTo(0); goTo({last})")
    visit.page.wait_for_selector("#window")
    gradient = array_at(contents, contents["operations"][last]["closer"]["gradient"])
    row, column = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    assert visit.text("#window").startswith(f"Output pixel ({row}, {column}) ")


def test_links_lead_on_in_the_direction_of_the_walk(visit: Visit) -> None:
    visit.page.click("#turn")
    go_to(visit, "conv3.conv")
    assert visit.text("#where").endswith("backward")
    visit.page.click("#panel h4 a >> nth=0")
    visit.page.wait_for_function("document.querySelector('h2').innerText.startsWith('conv2')")
    assert visit.text("h2").startswith("conv2.conv")
    assert visit.text("#where").endswith("backward")


def test_enter_goes_from_hit_to_hit(visit: Visit) -> None:
    titles = []
    visit.page.fill("#search", "CrossEntropy")
    for _ in range(4):
        visit.page.press("#search", "Enter")
        titles.append(visit.text("#where"))
    assert len(set(titles)) == 3
    assert titles[3] == titles[0]


def test_formula_cost_proof_and_code_are_there(visit: Visit, contents: dict[str, Any]) -> None:
    go_to(visit, "inception3a.branch2.1.conv")
    found = operation(contents, "inception3a.branch2.1.conv", "Conv2d")
    text = visit.text("#panel")
    assert "w_grad[o,c,u,v] = Σ" in text
    assert "saved for backward" in text
    proof = visit.text("#proof")
    assert f"{found['proof']['difference']:.1e}".replace("e-0", "e-") in proof
    assert "in 3 directions" in proof
    titles = visit.page.eval_on_selector_all("#sources summary", "all => all.map(each => each.innerText)")
    files = [title.split(" ")[-1].split(":")[0] for title in titles]
    assert files[:2] == ["minigrad/ops/conv.py"] * 2
    assert "kernels/naive/conv.py" in files
    visit.page.click("#sources summary >> nth=1")
    assert "def backward(self, grad: Array)" in visit.text("#sources details[open] pre")


def test_colours_show_where_gradients_fade_without_the_auxiliary_classifiers(
    visit: Visit, contents: dict[str, Any]
) -> None:
    def label(node: str) -> str:
        return str(visit.page.get_attribute(f"[data-id='{node}']", "aria-label"))

    def fill(node: str) -> str:
        return str(visit.page.eval_on_selector(f"[data-id='{node}'] rect", "rect => rect.style.fill"))

    (other,) = contents["others"]
    number = contents["operations"].index(operation(contents, "inception4a", "Cat"))
    with_heads, colour = label("inception4a"), fill("inception4a")
    visit.page.select_option("#other", label="without the auxiliary classifiers")
    assert label("inception4a") != with_heads
    (shown,) = re.findall(r"norm ([\d.e-]+)", label("inception4a"))
    assert float(shown) == pytest.approx(other["norms"][number], rel=1e-3)
    assert fill("inception4a") != colour
    assert label("aux1").endswith("no gradient")


def test_it_can_be_walked_by_keyboard_alone(visit: Visit) -> None:
    reached = set()
    for _ in range(60):
        visit.page.keyboard.press("Tab")
        reached.add(visit.page.evaluate("document.activeElement.id || document.activeElement.dataset.id || ''"))
    assert {"next", "slider", "search", "unfold", "other", "#0", "inception3a"} <= reached


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_at_390_pixels_nothing_is_wider_than_the_screen(browser: Any, path: Path, dark: bool) -> None:
    opened = Visit(browser, path, width=390, dark=dark)
    for name in ("conv1.conv", "maxpool1", "inception3a · Cat", "aux1.dropout", "fc"):
        go_to(opened, name)
        opened.page.wait_for_timeout(100)
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert opened.page.evaluate("panel.scrollWidth <= panel.clientWidth"), name
    opened.screenshot(f"narrow-{'dark' if dark else 'light'}")
    opened.close(path)


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance of "rgb(...)"."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read_in_both_colour_schemes(browser: Any, path: Path, dark: bool) -> None:
    opened = Visit(browser, path, dark=dark, hash="#step=1")
    style = "getComputedStyle(document.querySelector('{}')).{}"
    paper = luminance(opened.page.evaluate(style.format("body", "backgroundColor")))
    assert (paper < 0.05) == dark
    for selector in ("body", "#about", "a", "th", ".note"):
        ink = luminance(opened.page.evaluate(style.format(selector, "color")))
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, f"{selector}: {contrast:.2f}"
    opened.close(path)
