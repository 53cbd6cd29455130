"""ONNX: a network in evaluation mode as a file that other programs run.

The network runs, an observer sees its operations (onnx_graph.py), and each becomes a node (onnx_operations.py). So
whatever a network does through operations can be exported, and what it is made of need not be known.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kernels.layout import Array, nchw
from minigrad.files import write_atomically
from minigrad.function import no_grad
from minigrad.interop.onnx_graph import IMAGES, LOGITS, ExportError, Graph
from minigrad.interop.onnx_operations import TRANSLATORS
from minigrad.nn import Module
from minigrad.nn.module import modes_kept
from minigrad.observe import observe
from minigrad.tensor import Tensor

OPSET, IR_VERSION = 17, 8
"""Of ONNX 1.12 (2022), which whatever reads ONNX today can read."""


def save_onnx(
    model: Module, path: str | Path, image_shape: tuple[int, int, int], description: str = "",
    properties: Mapping[str, str] | None = None,
) -> None:
    """Write a network as it is in evaluation mode: "images" (N, *image_shape) float32 -> "logits" (N, ...), for any N.

    The model is on the CPU, in float32. description, properties: for who reads the file. Needs the `onnx` library.

    ExportError if weights are not float32, if the network refuses such images, if an operation has no translation, or
    if the network computes something past its operations (with `tensor.data`, say), which the file would keep as it was
    for one batch. OSError leaves the old file as it was.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ModuleNotFoundError as error:
        raise ExportError(f"{error.name} is not installed: pip install -e '.[onnx]'") from None
    if others := {parameter.data.dtype.name for parameter in model.parameters()} - {"float32"}:
        raise ExportError(f"weights: given {', '.join(sorted(others))}, expected float32: model.to('float32')")
    graph, shape = _recorded(model, image_shape, batch=2)
    again, _ = _recorded(model, image_shape, batch=3)
    if graph.nodes != again.nodes or not _same(graph.constants, again.constants):
        raise ExportError("the network computes with its images, or their number, past its operations")
    helper = onnx.helper
    nodes = [
        helper.make_node(node.kind, node.inputs, [node.output], name=node.output, **node.attributes)
        for node in graph.nodes
    ]
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    inputs, outputs = (
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *rest])]
        for name, rest in ((IMAGES, image_shape), (LOGITS, shape[1:]))
    )
    proto = helper.make_model(
        helper.make_graph(nodes, type(model).__name__, inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="minigrad",
        doc_string=description,
    )  # fmt: skip
    helper.set_model_props(proto, dict(properties or {}))
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(Path(path), proto.SerializeToString())


def _recorded(model: Module, image_shape: tuple[int, int, int], batch: int) -> tuple[Graph, tuple[int, ...]]:
    """What the network does with a batch of noise, and the shape that comes out."""
    channels, *size = image_shape
    images = nchw(np.random.default_rng(batch).standard_normal((batch, *size, channels), np.float32))
    graph = Graph(model, images, TRANSLATORS)
    with modes_kept(model), no_grad(), observe(graph):
        try:
            logits = model.eval()(Tensor(images))
        except ExportError:
            raise
        except ValueError as error:
            raise ExportError(f"image_shape: given {image_shape}, which the network refuses: {error}") from error
    graph.result(logits)
    return graph, logits.shape


def _same(some: Mapping[str, Array], others: Mapping[str, Array]) -> bool:
    return some.keys() == others.keys() and all(np.array_equal(some[name], others[name]) for name in some)
