"""Training in float64 on several ranks: prints the losses as JSON.

    mpiexec -n RANKS python -m tests.minigrad.parallel.exact NETWORK STEPS BATCH SIZE
"""

import json
import sys

import numpy as np

from minigrad import Tensor, optim, random
from minigrad.parallel import GradientAverage, join, share_statistics
from minigrad.training.objective import score
from tests.minigrad.parallel.program import NETWORKS

if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    steps, batch, size = map(int, numbers)
    world = join()
    random.manual_seed(3)
    model = NETWORKS[name](in_channels=1, num_classes=10, image_size=size).to(np.float64)
    share_statistics(model, world if world.size > 1 else None)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    average = GradientAverage(world, model.parameters(), bucket_bytes=1 << 20)
    images = np.random.default_rng(0).standard_normal((steps, batch, 1, size, size))
    labels = np.random.default_rng(1).integers(0, 10, (steps, batch))
    own = world.share(batch)
    losses = []
    for x, y in zip(images, labels, strict=True):
        with random.images_from(own.start):
            total, _ = score(model(Tensor(x[own])), y[own])
        optimizer.zero_grad()
        weight = len(y[own]) / batch
        average.backward(total.loss, weight)
        optimizer.step()
        losses.append(float(world.sum(np.array([total.loss.item() * weight if weight else 0.0]))[0]))
    if world.rank == 0:
        statistics = {name: array.tolist() for name, array in model.state_dict().items() if "running" in name}
        print(json.dumps({"losses": losses, "statistics": statistics}))
