import jax
import jax.numpy as jnp
import numpy as np
import pytest

from camjax import Axes

# A Swin-like value: 2 x 2 windows (beside the batch) of 3 x 3 tokens, whose map is 6 x 6.
WINDOWED = Axes(
    shape=(4, 9, 5),
    start=(0, 0, 0),
    stop=(4, 9, 5),
    factors=((2, 2), (3, 3), (5,)),
    order=(0, 2, 1, 3, 4),
    grid=(6, 6),
    channels=5,
)

LAYOUTS = {
    "NHWC": Axes.of((1, 4, 3, 5)),
    "NCHW": Axes.of((1, 5, 4, 3), space=(2, 3), channel=1),
    "1-D": Axes.of((1, 7, 5), space=1, channel=2),
    "3-D": Axes.of((1, 2, 3, 4, 5), space=(1, 2, 3), channel=4),
    "tokens": Axes.of((1, 12, 5), space=1, grid=(4, 3), channel=2),
    "class token": Axes.of((1, 13, 5), space=1, grid=(4, 3), prefix=1, channel=2),
    "registers": Axes.of((1, 5, 17), space=2, grid=(4, 3), prefix=1, suffix=4, channel=1),
    "no channels": Axes.of((1, 4, 3), space=(1, 2), channel=None),
    "windows": WINDOWED,
}


def value_of(axes):
    return jnp.arange(np.prod(axes.shape), dtype=jnp.float32).reshape(axes.shape)


@pytest.mark.parametrize("axes", LAYOUTS.values(), ids=LAYOUTS)
def test_planting_the_map_gives_the_value_back(axes):
    value = value_of(axes)
    maps = axes.to_map(value)
    assert maps.shape == (*axes.grid, axes.channels)
    np.testing.assert_array_equal(axes.plant(maps, value), value)


@pytest.mark.parametrize("axes", LAYOUTS.values(), ids=LAYOUTS)
def test_planting_replaces_the_grid_and_nothing_else(axes):
    value = value_of(axes) + 1
    planted = np.asarray(axes.plant(jnp.zeros((*axes.grid, axes.channels)), value))
    grid = tuple(slice(a, b) for a, b in zip(axes.start, axes.stop, strict=True))
    outside = np.asarray(value).copy()
    outside[grid] = 0
    np.testing.assert_array_equal(planted, outside)


def test_positions_stay_where_they_are():
    value = value_of(LAYOUTS["NCHW"])
    np.testing.assert_array_equal(LAYOUTS["NCHW"].to_map(value)[2, 1], value[0, :, 2, 1])
    value = value_of(LAYOUTS["class token"])
    np.testing.assert_array_equal(LAYOUTS["class token"].to_map(value)[2, 1], value[0, 1 + 2 * 3 + 1])
    value = value_of(WINDOWED)  # position (4, 1) is in window (1, 0), at (1, 1)
    np.testing.assert_array_equal(WINDOWED.to_map(value)[4, 1], value[2, 4])


@pytest.mark.parametrize("axes", LAYOUTS.values(), ids=LAYOUTS)
def test_the_map_of_a_gradient_is_the_gradient_of_the_map(axes):
    value = value_of(axes)
    weights = jnp.cos(value)

    def score(maps):
        return jnp.sum(axes.plant(maps, value) ** 2 * weights)

    of_map = jax.grad(score)(axes.to_map(value))
    of_value = jax.grad(lambda v: jnp.sum(v**2 * weights))(value)
    np.testing.assert_allclose(of_map, axes.to_map(of_value), rtol=1e-6)


def test_planting_keeps_the_models_dtype():
    axes = LAYOUTS["class token"]
    planted = axes.plant(jnp.ones((4, 3, 5), jnp.float32), jnp.zeros(axes.shape, jnp.bfloat16))
    assert planted.dtype == jnp.bfloat16


def test_text():
    texts = {name: str(axes) for name, axes in LAYOUTS.items()}
    assert texts["NHWC"] == "4x3 space, 5 channels"
    assert texts["NCHW"] == "4x3 space, 5 channels"
    assert texts["tokens"] == "4x3 tokens, 5 channels"
    assert texts["class token"] == "4x3 tokens + 1, 5 channels"
    assert texts["registers"] == "4x3 tokens + 5, 5 channels"
    assert texts["3-D"] == "2x3x4 space, 5 channels"


@pytest.mark.parametrize(
    ("shape", "arguments", "message"),
    [
        ((1, 4, 3, 5), {"channel": 4}, r"channel=4 must be different dimensions from 1 to 3"),
        ((1, 4, 3, 5), {"space": (1, 1)}, r"space=\(1, 1\)"),
        ((1, 4, 3, 5), {"space": 1}, r"dimensions \[2\].*are neither space nor channel"),
        ((1, 4, 3, 5), {"prefix": 1}, r"prefix and suffix need grid="),
        ((1, 13, 5), {"space": 1, "channel": 2, "grid": (4, 4)}, r"needs one space axis of length 16.*\(1, 13, 5\)"),
    ],
)
def test_layouts_that_do_not_fit(shape, arguments, message):
    with pytest.raises(ValueError, match=message):
        Axes.of(shape, **arguments)


def test_fields_that_are_no_permutation():
    with pytest.raises(ValueError, match="do not describe one permutation"):
        Axes((1, 4), (0, 0), (1, 4), ((1,), (4,)), (0, 1), (2,), 3)
