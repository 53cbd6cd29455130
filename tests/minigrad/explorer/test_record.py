"""What is recorded of a step: operations in their order, where inputs came from, gradients as they were."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import kernels
import minigrad
from kernels.layout import Array
from minigrad import Function, Tensor, functional as F, nn
from minigrad.explorer.record import record
from tests.minigrad.explorer.pages import operation, read_page


def test_operations_are_in_the_order_of_forward_and_backward_and_know_their_sources() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)

    def loss() -> Tensor:
        a = x * 3
        b = a.exp()
        return (a + b).sum()

    found = record(loss)
    assert [each.function.name for each in found.operations] == ["Mul", "Exp", "Add", "Sum"]
    assert [each.sources for each in found.operations] == [[None, None], [0], [0, 1], [2]]
    assert found.backward == [3, 2, 1, 0]
    assert found.loss == pytest.approx(9 + np.exp(3) + np.exp(6))


def test_gradients_are_kept_as_they_were_seen_though_the_walk_adds_to_them() -> None:
    x = Tensor(np.ones((2, 3, 4, 4), np.float32), requires_grad=True)
    first, second = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)
    minigrad.manual_seed(0)

    def alone(layer: nn.Conv2d) -> Array:
        copy = Tensor(x.data, requires_grad=True)
        layer(copy * 1).sum().backward()
        assert copy.grad is not None
        return copy.grad

    def loss() -> Tensor:
        y = x * 1
        return first(y).sum() + second(y).sum()

    convolutions = [each for each in record(loss).operations if each.function.name == "Conv2d"]
    for layer, each in zip((first, second), convolutions, strict=True):
        np.testing.assert_allclose(each.input_grads[0], alone(layer), rtol=1e-6)


def test_the_kernels_that_ran_are_named() -> None:
    x = Tensor(np.ones((1, 2, 4, 4), np.float32), requires_grad=True)
    with minigrad.backend("reference"):
        (conv, _) = record(lambda: nn.Conv2d(2, 2, 3)(x).sum()).operations
    assert list(conv.called) == ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"]
    assert conv.called["conv2d"] is kernels.load("reference").conv2d


def test_operations_without_a_gradient_are_recorded_too() -> None:
    frozen, x = Tensor([1.0]), Tensor([2.0], requires_grad=True)
    found = record(lambda: (x * (frozen * 2)).sum())
    assert [each.function.name for each in found.operations] == ["Mul", "Mul", "Sum"]
    assert found.backward == [2, 1]
    assert found.operations[0].output_grad is None


def test_a_tensor_whose_forward_is_over_gives_graph_gradients_and_what_was_saved(tmp_path: Path) -> None:
    x = Tensor(np.ones((2, 3), np.float32), requires_grad=True)
    layer = nn.Linear(3, 2)
    page = read_page(minigrad.explore(F.relu(layer(x)).sum(), tmp_path))
    assert [each["name"] for each in page["operations"]] == ["Linear", "ReLU", "Sum"]
    linear = operation(page, "", "Linear")
    assert linear["output"] is None
    assert linear["proof"] is None
    assert linear["gradient"]["shape"] == [2, 2]
    assert {saved["name"]: saved["bytes"] for saved in linear["saved"]} == {"rows": 24, "weight": 24}
    assert [each["source"] for each in operation(page, "", "ReLU")["inputs"]] == [0]


def test_what_ran_before_the_function_comes_first() -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    before = x * 2
    found = record(lambda: (before * before).sum())
    assert [(each.function.name, each.sources) for each in found.operations] == [
        ("Mul", [None, None]), ("Mul", [0, 0]), ("Sum", [1]),
    ]  # fmt: skip
    assert found.operations[0].output is None
    assert found.backward == [2, 1, 0]


def test_an_operation_that_returns_the_very_array_it_was_given_is_not_taken_for_its_maker() -> None:
    class Same(Function):
        def forward(self, a: Array) -> Array:
            return a

        def backward(self, grad: Array) -> tuple[Array]:
            return (grad,)

    def loss() -> Tensor:
        a = Tensor([1.0, 2.0], requires_grad=True) * 2
        b = Same()(a)
        return (a * 3 + b).sum()

    assert [each.sources for each in record(loss).operations] == [[None, None], [0], [0, None], [2, 1], [3]]


@pytest.mark.parametrize(
    "compute",
    [
        lambda: (Tensor([1.0], requires_grad=True) / float("inf")).sum(),
        lambda: (Tensor(np.array([1e200, 1e201]), requires_grad=True) * 2).sum(),
        lambda: (Tensor(np.array([1.0, 1 + 2.3e-16]), requires_grad=True) * 2).sum(),
        lambda: (Tensor(np.zeros((0, 3), np.float32), requires_grad=True) * 2).sum(),
        lambda: F.conv2d(
            Tensor(np.ones((2, 1, 3, 3), np.float32)), Tensor(np.full((1, 1, 2, 2), np.nan, np.float32), True)
        ).sum(),
        lambda: Tensor(1.0, requires_grad=True) * 2,
    ],
    ids=["infinite number", "norm too large", "nearly constant", "empty", "NaN weight", "no axes"],
)  # fmt: skip
def test_numbers_of_any_kind_make_a_page(compute: Callable[[], Tensor], tmp_path: Path) -> None:
    with np.errstate(all="ignore"):
        assert read_page(minigrad.explore(compute, tmp_path, image=5))["backward"]


@pytest.mark.parametrize(
    ("number", "shown"), [(2, 2), (0.5, 0.5), (True, "True"), (float("inf"), "inf"), (float("nan"), "nan")]
)
def test_a_python_number_is_shown_as_it_is(number: float, shown: float | str, tmp_path: Path) -> None:
    page = read_page(minigrad.explore(lambda: (Tensor([1.0, 2.0], requires_grad=True) * number).sum(), tmp_path))
    assert page["operations"][0]["inputs"][1]["value"] == shown


def test_an_operation_that_uses_others_keeps_its_own_output() -> None:
    class Twice(Function):
        """2 a, by way of tensors."""

        def forward(self, a: Array) -> Array:
            return (Tensor(a) + Tensor(a)).numpy() * 1

        def backward(self, grad: Array) -> tuple[Array]:
            return (2 * grad,)

    found = record(lambda: Twice()(Tensor([1.0, 2.0], requires_grad=True)).sum())
    outer, inner, _ = found.operations
    assert [outer.function.name, inner.function.name] == ["Twice", "Add"]
    assert outer.output is not None
    assert outer.output is not inner.output
    assert outer.seconds[0] > inner.seconds[0] > 0


def test_what_is_not_a_loss_is_refused() -> None:
    with pytest.raises(TypeError, match="loss: given int, expected a tensor or a function that returns one"):
        record(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="loss: given float, expected"):
        record(lambda: 3.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(RuntimeError, match="loss: there is no graph behind it"):
        record(Tensor([1.0]))
    walked = (Tensor([1.0], requires_grad=True) * 2).sum()
    walked.backward()
    with pytest.raises(RuntimeError, match="has been through backward before"):
        record(walked)


def test_a_users_own_operation_is_shown_with_its_code_and_its_first_sentence(tmp_path: Path) -> None:
    class Cube(Function):
        """a * a * a."""

        def forward(self, a: Array) -> Array:
            self.save(a)
            result: Array = a * a * a
            return result

        def backward(self, grad: Array) -> tuple[Array]:
            (a,) = self.saved
            return (3 * a * a * grad,)

    x = Tensor([1.0, 2.0], requires_grad=True)
    page = read_page(minigrad.explore(lambda: Cube()(x).sum(), tmp_path))
    cube = operation(page, "", "Cube")
    assert cube["formula"] == ["a * a * a.", ""]
    assert [saved["name"] for saved in cube["saved"]] == ["a"]
    titles = [page["texts"][place]["title"] for place in cube["sources"]]
    assert titles == ["forward", "backward"]
    assert page["texts"][cube["sources"][0]]["place"] == "tests/minigrad/explorer/test_record.py"
    assert cube["proof"]["difference"] < 1e-6


def test_what_a_leaf_receives_is_summed_over_its_uses(tmp_path: Path) -> None:
    a, b = Tensor(np.array(3.0), requires_grad=True), Tensor(np.array(5.0), requires_grad=True)
    page = read_page(minigrad.explore(lambda: a * a * b + a, tmp_path))
    leaves = [[given["leaf"] for given in each["inputs"]] for each in page["operations"]]
    (of_a, _), (_, of_b), (_, again) = leaves
    assert again == of_a
    assert page["leaves"][of_a]["high"] == 2 * 3 * 5 + 1
    assert page["leaves"][of_b] is None  # used once: what it receives there is all


def test_saved_arrays_are_counted_once_each_and_also_in_lists(tmp_path: Path) -> None:
    class Saving(Function):
        """a * a."""

        def forward(self, a: Array) -> Array:
            self.save(a, [a + 1, a + 2], a)
            result: Array = a * a
            return result

        def backward(self, grad: Array) -> tuple[Array]:
            return (2 * self.saved[0] * grad,)

    x = Tensor([1.0, 2.0], requires_grad=True)
    saved = operation(read_page(minigrad.explore(lambda: Saving()(x).sum(), tmp_path)), "", "Saving")["saved"]
    assert [each["bytes"] for each in saved] == [8, 8, 8]
    assert saved[0]["name"] == "a"


def test_a_failed_write_leaves_the_old_page(tmp_path: Path) -> None:
    x = Tensor([1.0], requires_grad=True)
    path = minigrad.explore(lambda: x * 2, tmp_path)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        minigrad.explore(lambda: x * 2, tmp_path, about=b"no text")  # type: ignore[arg-type]
    assert path.read_bytes() == before


def test_what_cannot_be_explained_is_told_in_the_words_of_the_caller(tmp_path: Path) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"^loss: given shape \(2,\), expected one number; .mean\(\) or .sum\(\)"):
        minigrad.explore(lambda: x * 2, tmp_path)
    for loss in (Tensor([1.0], requires_grad=True), Tensor([1.0])):
        with pytest.raises(RuntimeError, match="no operation on a tensor that requires a gradient has made it"):
            minigrad.explore(loss, tmp_path)
    for name, wrong in (("image", -1), ("image", "a"), ("channel", -1), ("channel", 1.5)):
        with pytest.raises(ValueError, match=rf"^{name}: given {wrong!r}, expected the number of one, from 0"):
            minigrad.explore(lambda: x.sum(), tmp_path, **{name: wrong})  # type: ignore[arg-type]
    for name in ("title", "about"):
        with pytest.raises(TypeError, match=f"^{name}: given int, expected a str"):
            minigrad.explore(lambda: x.sum(), tmp_path, **{name: 3})  # type: ignore[arg-type]
