"""Learn a stream of images with a convolutional network.

The script makes the images: a horizontal bar, a vertical bar or a cross, anywhere on a
square of noisy pixels. Each batch is predicted before it is learnt. After half of the
stream the pictures are inverted. Convolutions compute in torch:

    pip install 'fenchel-stream[torch]'
"""

import numpy as np

from fenchel_stream import LiftedNetwork
from fenchel_stream.network.layers import AveragePool2d, Conv2d, Dense

BATCHES, BATCH = 80, 50


def images(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return images (rows x height x width x channels) and their classes (rows,)."""
    pixels = rng.normal(scale=0.3, size=(BATCH, 12, 12, 1))
    classes = rng.integers(3, size=BATCH)
    for image, kind, (top, left) in zip(
        pixels, classes, rng.integers(0, 8, size=(BATCH, 2)), strict=True
    ):
        if kind != 1:
            image[top + 2, left : left + 5] += 1.0  # a horizontal bar
        if kind != 0:
            image[top : top + 5, left + 2] += 1.0  # a vertical one
    return pixels, classes


def main() -> None:
    """Print the accuracy over every ten batches."""
    rng = np.random.default_rng(0)
    layers = [Conv2d(8, 5), AveragePool2d(2), Dense(32), Dense(3)]
    network = LiftedNetwork.of(layers, inputs=(12, 12, 1))
    right = 0
    for number in range(1, BATCHES + 1):
        pixels, classes = images(rng)
        if number > BATCHES // 2:
            pixels = -pixels
        right += int((network.predict(pixels).argmax(axis=1) == classes).sum())
        network.learn_batch(pixels, classes)
        if number % 10 == 0:
            note = "<- now inverted" if number == BATCHES // 2 else ""
            print(f"{number * BATCH:5,} images: last 500 {right / (10 * BATCH):.3f}", note)
            right = 0


if __name__ == "__main__":
    main()
