"""The losses of a short training of GoogLeNet in PyTorch. Importing this imports torch."""

from typing import Any

import numpy as np
import torch

from benchmarks.drift import Task
from benchmarks.torch_googlenet import TorchGoogLeNet, tensors
from benchmarks.torch_memory import Memory, in_format
from googlenet import GoogLeNet
from kernels.layout import Array
from minigrad import device, random
from minigrad.data import FashionMNIST, batches, epoch_order


def losses(channels_last: bool, task: Task, seed: int, data: FashionMNIST) -> Array:
    """(steps,), with the weights, images and order of the same command line of googlenet.py."""
    memory_format = Memory(channels_last, device.CPU).format
    random.manual_seed(seed)
    twin: Any = TorchGoogLeNet()  # torch's type of `to` does not know memory_format
    twin.load_state_dict(tensors(GoogLeNet(image_size=task.image_size, dropout=0.0).state_dict()))
    twin = twin.to(memory_format=memory_format)
    optimizer = torch.optim.SGD(twin.parameters(), lr=task.lr, momentum=task.momentum)
    images, labels = data.train_images[: task.images], data.train_labels[: task.images]
    found = []
    for epoch in range(task.epochs):
        order = epoch_order(task.images, seed, epoch)
        for x, y in batches(images, labels, task.batch_size, task.image_size, order=order):
            logits = twin(in_format(torch.from_numpy(np.ascontiguousarray(x)), memory_format))
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
    return np.array(found)
