"""Strips side by side are the convolution, under every transformation, and are chosen where one core would do all."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax

import camjax
from camjax.trace import _cpu_wide
from camjax.trace._cpu_kernels import Window, dense

ONE = Window((1, 1), ((1, 1), (1, 1)), (1, 1), None, None)


@st.composite
def convolutions(draw):
    """A window, maps and a kernel."""

    def pair(low, high):
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    window = Window(pair(1, 3), (pair(-1, 3), pair(-1, 3)), pair(1, 2), None, None)
    x = jax.random.normal(jax.random.key(draw(st.integers(0, 9))), (draw(st.integers(1, 3)), *pair(9, 20), 2))
    return window, x, jax.random.normal(jax.random.key(1), (*pair(1, 4), 2, 3))


def check(got, want):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-4), got, want)


@settings(max_examples=25)
@given(convolutions(), st.integers(1, 6))
def test_they_are_the_convolution(case, strips):
    window, x, k = case
    got, want = _cpu_wide._wide(window, strips, x, k), dense(window, x, k)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    check(got, want)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_their_derivatives_are_the_convolution_s_too_also_mapped(axes):
    x, k = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 1, 9, 8, 2), (2, 3, 3, 2, 4)]))
    x, k = (array if axis == 0 else array[0] for array, axis in zip((x, k), axes, strict=True))

    def loss(run):
        return lambda x, k: jnp.sum(jnp.sin(jax.vmap(lambda x, k: run(ONE, x, k), axes)(x, k)))

    wide, plain = loss(lambda window, x, k: _cpu_wide._wide(window, 3, x, k)), loss(dense)
    check(jax.value_and_grad(wide, (0, 1))(x, k), jax.value_and_grad(plain, (0, 1))(x, k))
    for along in ((x, k), (x, 0 * k), (0 * x, k)):
        check(jax.jvp(wide, (x, k), along), jax.jvp(plain, (x, k), along))
    check(*(jax.hessian(lambda x, loss=loss: loss(x, k))(x) for loss in (wide, plain)))


def strips(sizes, cores):
    """As many as are laid side by side of a convolution of these sizes."""
    p = {"batch": 1, "size": 56, "channels": 64, "outputs": 64, "taps": 3, "stride": 1, "dilation": 1, **sizes}
    dtype, half = p.get("dtype", "float32"), p["dilation"] * (p["taps"] // 2)
    x = jax.ShapeDtypeStruct((p["batch"], p["size"], p["size"], p["channels"]), dtype)
    k = jax.ShapeDtypeStruct((p["taps"], p["taps"], p["channels"], p["outputs"]), dtype)
    window = Window((p["stride"],) * 2, ((half, half),) * 2, (p["dilation"],) * 2, None, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cpu_wide, "cores", lambda: cores)
        made = jax.make_jaxpr(lambda x, k: _cpu_wide.convolve(window, x, k))(x, k)
    if "name=_wide" not in str(made):
        return 1
    (wide,) = (e for e in made.jaxpr.eqns if "custom_jvp" in str(e.primitive))
    (beside,) = (e for e in wide.params["call_jaxpr"].eqns if "custom_jvp" in str(e.primitive))
    return beside.invars[0].aval.shape[2] // (p["size"] + 2 * half)


@pytest.mark.parametrize(
    ("sizes", "wide"),
    [
        ({}, 2),
        ({"batch": 8}, 2),  # of each example: cores share no batch
        ({"batch": "b"}, 2),
        ({"outputs": 128}, 1),  # two tasks
        ({"size": 96}, 1),
        ({"size": 224, "channels": 3, "taps": 7, "stride": 2}, 8),  # the first of a ResNet
        ({"outputs": 128, "stride": 2}, 2),  # the first of ResNet-18's second stage
        ({"channels": 128, "outputs": 32}, 2),  # DenseNet
        ({"size": 224, "channels": 3}, 1),  # the first of VGG: too few products of an entry
        ({"size": 14, "channels": 128, "outputs": 32}, 1),  # too few at all
        ({"size": 7, "channels": 1024}, 1),  # too few rows
        ({"size": 33, "dilation": 18, "channels": 256}, 1),  # strips would be copied many times
        ({"dtype": "float64"}, 1),
        ({"dtype": "bfloat16"}, 1),
    ],
)
def test_where_they_are_chosen(sizes, wide):
    if sizes.get("batch") == "b":
        sizes = {"batch": export.symbolic_shape("b")[0]}
    with jax.enable_x64(True):
        assert (strips(sizes, cores=2), strips(sizes, cores=1)) == (wide, 1)


def test_more_cores_get_more_strips():
    assert [strips({}, cores) for cores in (2, 4, 64)] == [2, 4, 14]  # of four rows each, at least


@pytest.mark.parametrize("size", range(16, 130, 6))
@pytest.mark.parametrize(("channels", "outputs"), [(16, 16), (64, 64), (128, 32), (32, 128)])
def test_each_core_has_a_task_where_they_are_chosen(size, channels, outputs):
    sizes = {"size": size, "channels": channels, "outputs": outputs}
    if (beside := strips(sizes, cores=2)) > 1:
        wide, deep = _cpu_wide._task(beside * (size + 2), outputs, 9 * channels)
        assert beside * (size + 2) > wide or outputs > deep


def test_a_batch_of_any_size_is_exported(monkeypatch):
    monkeypatch.setattr(_cpu_wide, "cores", lambda: 2)
    (batch,) = export.symbolic_shape("b")
    x, k = jax.random.normal(jax.random.key(0), (3, 56, 56, 64)), jax.random.normal(jax.random.key(1), (3, 3, 64, 64))
    spec = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype)
    for run in (_cpu_wide.convolve, lambda window, x, k: jax.vmap(lambda x: _cpu_wide.convolve(window, x[None], k))(x)):
        exported = export.export(jax.jit(lambda x, run=run: run(ONE, x, k)))(spec)
        check(exported.call(x).reshape(3, 56, 56, 64), dense(ONE, x, k))


def test_no_entry_of_a_strip_reaches_into_the_next():
    x = jnp.ones((2, 56, 56, 64)).at[0, :, -1].set(jnp.inf).at[0, 20].set(jnp.inf)
    k = jnp.ones((3, 3, 64, 64))
    want = lax.conv(x.transpose(0, 3, 1, 2), k.transpose(3, 2, 0, 1), (1, 1), "SAME").transpose(0, 2, 3, 1)
    for strips in (2, 3, 14):
        np.testing.assert_array_equal(_cpu_wide._wide(ONE, strips, x, k), want)


def test_how_products_are_summed_is_kept():
    x, k = jax.ShapeDtypeStruct((1, 56, 56, 64), "float32"), jax.ShapeDtypeStruct((3, 3, 64, 64), "float32")
    window = ONE._replace(precision=lax.Precision.HIGHEST, dtype=jnp.dtype("float32"))
    text = str(jax.make_jaxpr(lambda x, k: _cpu_wide._wide(window, 2, x, k))(x, k))
    assert "HIGHEST" in text
    assert "preferred_element_type=float32" in text


def test_a_map_through_them_is_the_plain_model_s(monkeypatch):
    monkeypatch.setattr(_cpu_wide, "cores", lambda: 2)
    key, letters = jax.random.key(0), ("NHWC", "HWIO", "NHWC")

    def apply(params, x):
        x = jax.nn.relu(lax.conv_general_dilated(x, params[0], (1, 1), "SAME", dimension_numbers=letters))
        with jax.named_scope("conv"):
            x = jax.nn.relu(lax.conv_general_dilated(x, params[1], (1, 1), "SAME", dimension_numbers=letters))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        return jnp.tanh(lax.conv_general_dilated(x, params[1], (1, 1), "SAME", dimension_numbers=letters)).mean((1, 2))

    model = camjax.Model(apply, [jax.random.normal(key, (3, 3, n, 48)) / n for n in (3, 48)])
    x = jax.random.normal(key, (2, 56, 56, 3))
    explain = camjax.explainer(model, x, layer="conv")
    assert "name=_wide" in str(jax.make_jaxpr(lambda x: explain(model, x, 1).raw)(x))
    plain = dataclasses.replace(model, rewrite=False)
    check(*(camjax.explain(m, x, 1, layer="conv").raw for m in (model, plain)))
