"""Models for other programs: weights for PyTorch and back, networks as ONNX."""

from minigrad.array_files import ArrayFileError as ArrayFileError
from minigrad.interop.onnx import save_onnx as save_onnx
from minigrad.interop.onnx_graph import ExportError as ExportError
from minigrad.interop.weights import load_weights as load_weights, save_weights as save_weights
