"""Optimisers and learning-rate schedules."""

from minigrad.optim.averaging import WeightAverage as WeightAverage
from minigrad.optim.optimizers import SGD as SGD, Adam as Adam, AdamW as AdamW, Optimizer as Optimizer
from minigrad.optim.schedules import (
    CosineLR as CosineLR,
    OneCycleLR as OneCycleLR,
    Schedule as Schedule,
    StepLR as StepLR,
    WarmUp as WarmUp,
)
