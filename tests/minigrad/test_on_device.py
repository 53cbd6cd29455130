"""Tensors and modules on a card, on the stand-in for CuPy: they move when they are told to, and only then."""

from collections.abc import Iterator

import numpy as np
import pytest

import minigrad
from kernels.layout import oihw
from minigrad import Tensor, device, functional as F, nn, optim
from tests import on_card
from tests.cupy_standin import devices
from tests.cupy_standin.counters import counters

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(params=on_card.PARAMETERS, autouse=True)
def card(request: pytest.FixtureRequest) -> Iterator[None]:
    with on_card.device(request.param):
        counters.reset()
        yield


def test_a_tensor_moves_and_its_gradient_comes_back() -> None:
    x = Tensor(ROWS, requires_grad=True)
    there = x.to("gpu")
    assert (x.device, there.device) == ("cpu", "gpu:0")
    (there * there).sum().backward()
    assert isinstance(x.grad, np.ndarray)
    np.testing.assert_array_equal(x.grad, 2 * ROWS)


def test_the_way_back_and_the_gradient_of_a_leaf_on_the_card() -> None:
    x = Tensor(device.to(ROWS, "gpu"), requires_grad=True)
    loss = (x.to("cpu") * 3).sum()
    assert loss.device == "cpu"
    loss.backward()
    assert device.of(x.grad) == "gpu:0"
    np.testing.assert_array_equal(device.host(x.grad), np.full((2, 3), 3))


def test_who_is_there_already_stays() -> None:
    x = Tensor(ROWS)
    assert x.to("cpu") is x
    there = x.to("gpu")
    assert there.to("gpu") is there
    assert there.to("gpu:0") is there


def test_a_dtype_is_still_a_dtype() -> None:
    assert Tensor(ROWS).to("gpu").to("float64").dtype == np.float64
    assert Tensor(ROWS).to("gpu").to(np.int64).device == "gpu:0"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_order_in_memory_is_kept(order: tuple[int, ...]) -> None:
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(order)
    there = device.to(array, "gpu")
    assert there.strides == array.strides
    back = device.host(there)
    assert back.strides == array.strides
    np.testing.assert_array_equal(back, array)


def test_a_part_of_an_array_becomes_dense() -> None:
    there = device.to(ROWS[:, ::2], "gpu")
    assert there.flags.c_contiguous
    np.testing.assert_array_equal(device.host(there), ROWS[:, ::2])


def test_numpy_has_to_be_asked_for() -> None:
    x = Tensor(ROWS).to("gpu")
    for ask in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(TypeError, match=r"the tensor is on gpu:0; copy it with tensor.to\('cpu'\).numpy\(\)"):
            ask()
    np.testing.assert_array_equal(x.to("cpu").numpy(), ROWS)


def test_it_says_where_it_is() -> None:
    assert repr(Tensor([1.5]).to("gpu")) == "Tensor([1.5], device=gpu:0)"


def test_single_numbers_lists_and_loops() -> None:
    x = Tensor(ROWS).to("gpu")
    assert x.sum().item() == 15
    assert float((x * [1.0, 2.0, 3.0]).max()) == 15  # type: ignore[arg-type]
    assert [row.device for row in x] == ["gpu:0", "gpu:0"]
    assert (x[np.array([1, 1])] * np.float64(2)).to("cpu").numpy().tolist() == [[6, 8, 10], [6, 8, 10]]


def test_devices_do_not_mix() -> None:
    weight, x = Tensor(np.ones((4, 3), np.float32)), Tensor(ROWS).to("gpu")
    with pytest.raises(TypeError, match="Linear: all tensors must be on one device, given input is on gpu:0, weight"):
        F.linear(x, weight)
    with pytest.raises(TypeError, match=r"Add: .*a is on gpu:0, b is on cpu; move them with Tensor.to"):
        _ = x + ROWS
    with pytest.raises(TypeError, match="cross_entropy: target: given on cpu, expected on gpu:0"):
        F.cross_entropy(x, np.array([0, 1]))
    labels, even = Tensor(np.array([0, 1])).to("gpu"), Tensor(np.ones(3, np.float32))
    with pytest.raises(TypeError, match="cross_entropy: weight: given on cpu, expected on gpu:0"):
        F.cross_entropy(x, labels, even)
    assert nn.CrossEntropyLoss(even).to("gpu")(x, labels).item() == F.cross_entropy(x, labels).item()
    with pytest.raises(ValueError, match=r"gradient: given .* on cpu, expected .* on gpu:0"):
        Tensor(x.data, requires_grad=True).backward(ROWS)


def test_a_class_that_does_not_exist_makes_the_loss_nan() -> None:
    target = device.to(np.array([0, 3]), "gpu")
    assert np.isnan(F.cross_entropy(Tensor(ROWS).to("gpu"), target).item())


def test_a_module_moves_with_all_that_it_holds() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    before = net.state_dict()
    weight = net.state_arrays()["0.weight"]
    assert net.to("gpu") is net
    assert {device.of(array) for array in net.state_arrays().values()} == {"gpu:0"}
    assert net.state_arrays()["0.weight"].strides == weight.strides == oihw(np.empty((3, 3, 3, 2), "f")).strides
    after = net.state_dict()
    for name, array in before.items():
        assert isinstance(after[name], np.ndarray)
        np.testing.assert_array_equal(after[name], array)
    net.load_state_dict({name: array + 1 for name, array in before.items()})
    np.testing.assert_array_equal(net.state_dict()["0.bias"], before["0.bias"] + 1)
    net.to("cpu")
    np.testing.assert_array_equal(net[0].weight.numpy(), before["0.weight"] + 1)  # type: ignore[attr-defined]


def test_an_optimiser_left_behind_says_so() -> None:
    net = nn.Linear(3, 2)
    optimizer = optim.SGD(net.parameters(), 0.1, momentum=0.9)
    net.to("gpu")
    net(Tensor(ROWS).to("gpu")).sum().backward()
    with pytest.raises(TypeError, match="some arrays are on the GPU and some are not"):
        optimizer.step()


def test_initialisers_write_there() -> None:
    weight = nn.Parameter(device.to(np.zeros((50, 40), np.float32), "gpu"))
    nn.init.kaiming_normal_(weight)
    assert abs(device.host(weight.data).std() - np.sqrt(2 / 40)) < 0.02


def test_gradcheck_runs_there() -> None:
    x = Tensor(device.to(np.random.default_rng(0).standard_normal((2, 3)), "gpu"), requires_grad=True)
    assert minigrad.gradcheck(lambda t: F.log_softmax(t, 1), [x])


@pytest.mark.parametrize("name", ["gpu:", "gpu:x", "gpu:-1", "cuda"])
def test_names_of_no_device_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"device: given '{name}', expected cpu, gpu, or a certain card such as gpu:1"):
        device.to(ROWS, name)


def test_a_card_that_is_not_there() -> None:
    with pytest.raises(device.DeviceError, match=r"gpu:7: there are \d cards?, gpu:0 to gpu:\d"):
        Tensor(ROWS).to("gpu:7")


@pytest.fixture
def second_card(request: pytest.FixtureRequest) -> str:
    if on_card.STANDIN not in request.node.name:
        pytest.skip("few machines have two cards")
    return "gpu:1"


def test_work_is_done_where_the_tensors_are(second_card: str) -> None:
    """Whichever card is current: every launch is on that of its arrays, backward and the optimiser's too."""
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2)).to(second_card)
    optimizer = optim.Adam(net.parameters())
    before = net.state_dict()
    x = Tensor(np.random.default_rng(0).standard_normal((3, 1, 4, 4)).astype(np.float32)).to(second_card)
    loss = F.cross_entropy(net(x), device.to(np.array([0, 1, 1]), second_card))
    loss.backward()
    optimizer.step()
    assert loss.device == "gpu:1"
    assert {device.of(p.grad) for p in net.parameters()} == {"gpu:1"}
    assert not np.array_equal(net.state_dict()["3.weight"], before["3.weight"])
    assert devices.current() == 0


def test_cards_do_not_mix(second_card: str) -> None:
    with pytest.raises(TypeError, match="Add: all tensors must be on one device, given a is on gpu:0, b is on gpu:1"):
        _ = Tensor(ROWS).to("gpu:0") + Tensor(ROWS).to(second_card)
    assert Tensor(ROWS).to(second_card).to("gpu:0").device == "gpu:0"
