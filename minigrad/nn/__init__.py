"""Networks: modules that hold parameters, layers, initialisers."""

from minigrad.nn import init as init
from minigrad.nn.layers import (
    AdaptiveAvgPool2d as AdaptiveAvgPool2d,
    AvgPool2d as AvgPool2d,
    ConstantPad2d as ConstantPad2d,
    Conv2d as Conv2d,
    CrossEntropyLoss as CrossEntropyLoss,
    Dropout as Dropout,
    Flatten as Flatten,
    Linear as Linear,
    LogSoftmax as LogSoftmax,
    MaxPool2d as MaxPool2d,
    ReLU as ReLU,
    Softmax as Softmax,
    ZeroPad2d as ZeroPad2d,
)
from minigrad.nn.module import Module as Module, Parameter as Parameter, Sequential as Sequential
from minigrad.nn.norm import (
    BatchNorm1d as BatchNorm1d,
    BatchNorm2d as BatchNorm2d,
    LocalResponseNorm as LocalResponseNorm,
)
