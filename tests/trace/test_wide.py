"""Strips side by side are the convolution, under every transformation, and are chosen where one core would do all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax

from camjax.trace import _cpu_wide
from camjax.trace._cpu_kernels import Window, dense

ONE = Window((1, 1), ((1, 1), (1, 1)), (1, 1), None, None)


@st.composite
def convolutions(draw):
    """A window, maps and a kernel."""
    pair = lambda low, high: (draw(st.integers(low, high)), draw(st.integers(low, high)))  # noqa: E731 - a shorthand
    window = Window(pair(1, 3), (pair(-1, 3), pair(-1, 3)), pair(1, 2), None, None)
    x = jax.random.normal(jax.random.key(draw(st.integers(0, 9))), (draw(st.integers(1, 3)), *pair(8, 20), 2))
    return window, x, jax.random.normal(jax.random.key(1), (*pair(1, 4), 2, 3))


def check(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), got, want)


@settings(max_examples=25)
@given(convolutions(), st.integers(1, 6))
def test_they_are_the_convolution(case, strips):
    window, x, k = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cpu_wide, "_strips", lambda batch, rows, columns, k: min(strips, rows))
        got = _cpu_wide._wide(window, x, k)
    want = dense(window, x, k)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    check(got, want)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_their_derivatives_are_the_convolution_s_too_also_mapped(axes):
    x, k = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 1, 9, 8, 2), (2, 3, 3, 2, 4)]))
    x, k = (array if axis == 0 else array[0] for array, axis in zip((x, k), axes, strict=True))

    def loss(run):
        return lambda x, k: jnp.sum(jnp.sin(jax.vmap(lambda x, k: run(ONE, x, k), axes)(x, k)))

    wide, plain = map(loss, (_cpu_wide._wide, dense))
    check(jax.value_and_grad(wide, (0, 1))(x, k), jax.value_and_grad(plain, (0, 1))(x, k))
    for along in ((x, k), (x, 0 * k), (0 * x, k)):
        check(jax.jvp(wide, (x, k), along), jax.jvp(plain, (x, k), along))
    both = lambda x: wide(x, k)  # noqa: E731 - a shorthand
    check(jax.hessian(both)(x), jax.hessian(lambda x: plain(x, k))(x))


def traced(**sizes):
    """What is traced for a convolution of these sizes."""
    p = {"batch": 8, "size": 56, "channels": 64, "outputs": 64, "taps": 3, "stride": 1, "dtype": "float32", **sizes}
    x = jax.ShapeDtypeStruct((p["batch"], p["size"], p["size"], p["channels"]), p["dtype"])
    k = jax.ShapeDtypeStruct((p["taps"], p["taps"], p["channels"], p["outputs"]), p["dtype"])
    window = ONE._replace(strides=(p["stride"],) * 2)
    return str(jax.make_jaxpr(lambda x, k: _cpu_wide.convolve(window, x, k))(x, k))


@pytest.mark.parametrize(
    ("sizes", "wide"),
    [
        ({}, True),
        ({"outputs": 116}, False),
        ({"size": 224, "channels": 3, "taps": 7, "stride": 2}, True),  # the first convolution of a ResNet
        ({"outputs": 128, "stride": 2}, True),  # the first of ResNet-18's second stage
        ({"outputs": 128}, False),
        ({"channels": 128, "outputs": 32}, True),  # DenseNet
        ({"size": 224, "channels": 3}, False),  # the first of VGG
        ({"batch": 1, "size": 14, "channels": 128, "outputs": 32}, False),  # hardly anything to compute
        ({"dtype": "float64"}, False),
    ],
)
@pytest.mark.parametrize("cores", [1, 2])
def test_where_they_are_chosen(monkeypatch, sizes, wide, cores):
    monkeypatch.setattr(_cpu_wide, "cores", lambda: cores)
    with jax.enable_x64(True):
        assert ("name=_wide" in traced(**sizes)) == (wide and cores > 1)


def test_more_cores_get_more_strips(monkeypatch):
    x, k = jnp.zeros((1, 56, 56, 64)), jnp.zeros((3, 3, 64, 64))
    columns = []
    for cores in (2, 4, 64):
        monkeypatch.setattr(_cpu_wide, "cores", lambda cores=cores: cores)
        made = jax.make_jaxpr(lambda x: _cpu_wide.convolve(ONE, x, k))(x)
        (inner,) = [e for e in made.jaxpr.eqns if "custom_jvp" in str(e.primitive)]
        (convolved,) = [e for e in inner.params["call_jaxpr"].eqns if "custom_jvp" in str(e.primitive)]
        columns.append(convolved.invars[0].aval.shape[2] // 58)
    assert columns == [2, 4, 14]  # of four rows each, at least


def test_a_batch_of_any_size_is_exported_as_a_convolution():
    k = jnp.zeros((3, 3, 64, 64))
    (batch,) = export.symbolic_shape("b")
    x = jax.ShapeDtypeStruct((batch, 56, 56, 64), jnp.float32)
    run = jax.jit(lambda x: _cpu_wide.convolve(ONE, x, k))
    assert "name=_wide" not in str(jax.make_jaxpr(run)(x))
    assert export.export(run)(x).call(jnp.zeros((3, 56, 56, 64))).shape == (3, 56, 56, 64)


def test_no_entry_of_a_strip_reaches_into_the_next():
    x = jnp.ones((2, 56, 56, 64)).at[0, :, -1].set(jnp.inf).at[0, 20].set(jnp.inf)
    k = jnp.ones((3, 3, 64, 64))
    got, want = (
        _cpu_wide.convolve(ONE, x, k),
        lax.conv(x.transpose(0, 3, 1, 2), k.transpose(3, 2, 0, 1), (1, 1), "SAME"),
    )
    np.testing.assert_array_equal(got, want.transpose(0, 2, 3, 1))
