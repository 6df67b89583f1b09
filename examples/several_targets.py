"""Regression with several targets, one of which is often missing.

The script makes the stream: a machine whose power and temperature depend on its load
and on the air. Its thermometer answers in one row of four only. The model learns the
targets that a row has, and predicts both.
"""

from collections.abc import Iterator

import numpy as np
from river import metrics

from fenchel_stream import FenchelMultiTargetRegressor

Row = tuple[dict[str, float], dict[str, float]]


def machine(rows: int) -> Iterator[Row]:
    """Yield features and targets: power in watts, temperature in degrees."""
    rng = np.random.default_rng(0)
    for load, air in zip(rng.uniform(0, 1, rows), rng.normal(15, 8, rows), strict=True):
        power = 2_000 + 9_000 * load**2 + rng.normal(0, 50)
        temperature = air + 40 * load + rng.normal(0, 0.5)
        yield {"load": load, "air": air}, {"power": power, "temperature": temperature}


def main() -> None:
    """Print the mean absolute error of each target over the second half of the stream."""
    model = FenchelMultiTargetRegressor()
    errors = {"power": metrics.MAE(), "temperature": metrics.MAE()}

    for number, (x, y) in enumerate(machine(2_000)):
        if number >= 1_000:
            prediction = model.predict_one(x)
            for name, error in errors.items():
                error.update(y[name], prediction[name])
        if number % 4:
            del y["temperature"]
        model.learn_one(x, y)

    print(f"power:       {errors['power'].get():.0f} W off; its noise alone is 40 W")
    print(f"temperature: {errors['temperature'].get():.2f} degrees off; its noise alone is 0.40")


if __name__ == "__main__":
    main()
