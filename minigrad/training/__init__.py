"""Training and testing a classifier of images: the loop, its settings, checkpoints, metrics, progress and plots."""

from minigrad.training.config import Config as Config
from minigrad.training.evaluation import Evaluation as Evaluation, evaluate as evaluate
from minigrad.training.loop import Diverged as Diverged, Stopped as Stopped, Trainer as Trainer
