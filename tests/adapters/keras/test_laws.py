"""The laws of every method on Keras models."""

import keras
import pytest
from camjax_keras import from_keras

from tests.laws.adapted import EVERY, hold, pictures


@pytest.fixture(scope="module")
def net():
    layers = keras.layers
    keras.utils.set_random_seed(0)
    return from_keras(
        keras.Sequential(
            [
                keras.Input((4, 4, 3)),
                layers.Conv2D(4, 3, padding="same", activation="relu", name="conv"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3, activation="softmax", name="classes"),
            ]
        )
    )


@pytest.mark.parametrize("method", EVERY)
def test_the_laws_hold(net, method):
    hold(net, pictures(), method)
