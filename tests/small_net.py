"""A network small enough to train within a test, on the public API as a user's own would be."""

from minigrad import Tensor, functional as F, nn


class SmallNet(nn.Module):
    """(N, in_channels, S, S) -> (N, num_classes): two convolutions, dropout, one linear layer."""

    def __init__(self, in_channels: int, num_classes: int, image_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 8, 5, stride=2, padding=2, activation="relu")
        self.conv2 = nn.Conv2d(8, 16, 3, padding=1, activation="relu")
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(16 * 9, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv2(self.conv1(x)), 2)
        x = F.flatten(F.adaptive_avg_pool2d(x, 3), 1)
        return self.fc(self.dropout(x))
