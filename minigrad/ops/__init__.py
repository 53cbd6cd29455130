"""The differentiable operations, one file a family. Users call them through Tensor and minigrad.functional."""

# The walk and the base class live one floor up; they are named here too so that the tensor module needs only `ops`.
from minigrad.backward import backward as backward
from minigrad.function import Function as Function, as_array as as_array
from minigrad.ops.activation import LogSoftmax as LogSoftmax, ReLU as ReLU, Softmax as Softmax
from minigrad.ops.arithmetic import (
    Add as Add,
    Cast as Cast,
    Div as Div,
    Exp as Exp,
    Log as Log,
    MatMul as MatMul,
    Max as Max,
    MaxAlong as MaxAlong,
    Mul as Mul,
    Pow as Pow,
    Sub as Sub,
    Sum as Sum,
)
from minigrad.ops.conv import Conv2d as Conv2d
from minigrad.ops.dropout import Dropout as Dropout
from minigrad.ops.linear import Linear as Linear
from minigrad.ops.loss import CrossEntropy as CrossEntropy
from minigrad.ops.norm import BatchNorm as BatchNorm, LocalResponseNorm as LocalResponseNorm
from minigrad.ops.pool import AdaptiveAvgPool2d as AdaptiveAvgPool2d, AvgPool2d as AvgPool2d, MaxPool2d as MaxPool2d
from minigrad.ops.shape import (
    Cat as Cat,
    Index as Index,
    Move as Move,
    Pad as Pad,
    Permute as Permute,
    Reshape as Reshape,
)
