"""F(2x2, 3x3) is the convolution up to rounding, however it is mapped, and is taken where it saves products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax

import camjax
from camjax.trace._cpu import choose
from camjax.trace._cpu_kernels import Window
from camjax.trace._cpu_wide import convolve
from camjax.trace._flatten import flatten
from camjax.trace._winograd import winograd

NUMBERS = ("NHWC", "HWIO", "NHWC")


def window(padding=((1, 1), (1, 1))):
    return Window((1, 1), padding, (1, 1), None, None)


def convolution(x, k, padding=((1, 1), (1, 1))):
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0)])
    return lax.conv_general_dilated(x, k, (1, 1), "VALID", dimension_numbers=NUMBERS)


def arrays(*shape, channels=4, outputs=3, dtype=np.float32):
    random = np.random.default_rng(0)
    x, k = random.normal(size=(*shape, channels)), random.normal(size=(3, 3, channels, outputs))
    return jnp.asarray(x, dtype), jnp.asarray(k, dtype)


pads = st.tuples(st.integers(-1, 2), st.integers(0, 2))


@settings(max_examples=12)
@given(height=st.integers(23, 27), width=st.integers(23, 27), padding=st.tuples(pads, pads), double=st.booleans())
def test_it_is_the_convolution(height, width, padding, double):
    with jax.enable_x64(double):
        x, k = arrays(2, height, width, dtype=np.float64 if double else np.float32)
        got = jax.jit(lambda x, k: winograd(window(padding), x, k))(x, k)
        tolerance = 1e-12 if double else 3e-5
        np.testing.assert_allclose(got, convolution(x, k, padding), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
def test_its_derivatives_are_the_convolution_s_too_also_mapped(axes):
    x, k = arrays(3, 2, 14, 13)
    x, k = (x if axes[0] == 0 else x[0]), (k if axes[1] is None else jnp.stack([k, 2 * k, k**2]))

    def loss(f):
        return lambda x, k: jnp.sum(jnp.sin(jax.vmap(f, axes)(x, k)))

    functions = loss(lambda x, k: winograd(window(), x, k)), loss(convolution)
    got, want = (jax.jit(jax.value_and_grad(f, (0, 1)))(x, k) for f in functions)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), got, want)
    for along in ((x, k), (x, 0 * k), (0 * x, k)):
        got, want = (jax.jvp(f, (x, k), along)[1] for f in functions)
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


def test_every_order_of_mapping_and_differentiating_is_the_same():
    x, k = arrays(3, 14, 14)

    def all_of(f):
        def loss(x):
            return jnp.sum(jnp.sin(f(x[None], k)))

        slope, linear = jax.linearize(jax.vmap(loss), x)
        return (
            jax.vmap(jax.grad(loss))(x),
            jax.grad(lambda x: jax.vmap(jax.checkpoint(loss))(x).sum())(x),
            jax.vmap(jax.vmap(loss))(jnp.stack([x, 2 * x])),
            jax.jvp(jax.grad(loss), (x[0],), (x[1],))[1],
            slope,
            linear(x),
        )

    got, want = all_of(lambda x, k: winograd(window(), x, k)), all_of(convolution)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-3), got, want)


def test_it_multiplies_half_as_often():
    x, k = arrays(8, 1, 14, 14, channels=64, outputs=64)

    def operations(f):
        return jax.jit(jax.vmap(f, (0, None))).lower(x, k).cost_analysis()["flops"]

    assert operations(lambda x, k: winograd(window(), x, k)) < 0.6 * operations(convolution)


def test_a_loop_does_not_cut_out_the_transformed_weights_in_each_round():
    x, k = arrays(1, 24, 24, channels=256, outputs=256)
    looped = jax.jit(lambda x, k: lax.map(lambda strength: winograd(window(), strength * x, k).sum(), jnp.arange(4.0)))
    needed = looped.lower(x, k).compile().memory_analysis().temp_size_in_bytes
    assert needed < 2.5 * 16 / 9 * k.nbytes  # all 16 in one array, and apart; a third time if they are cut in the loop


def test_few_tiles_in_the_whole_batch_are_a_convolution():
    def convolves(f, *batch):
        x, k = arrays(*batch, 1, 14, 14)
        for _ in batch:
            f = jax.vmap(f, (0, None))
        return "conv_general_dilated" in str(jax.make_jaxpr(f)(x, k))

    def one(x, k):
        return winograd(window(), x, k)

    assert [convolves(one), convolves(one, 2), convolves(one, 3), convolves(one, 2, 2)] == [True, True, False, False]


def test_a_batch_of_any_size_is_exported_as_a_convolution():
    x, k = arrays(3, 1, 14, 14)
    (batch,) = export.symbolic_shape("batch")
    mapped = jax.vmap(lambda x, k: winograd(window(), x, k), (0, None))
    specs = jax.ShapeDtypeStruct((batch, *x.shape[1:]), x.dtype), jax.ShapeDtypeStruct(k.shape, k.dtype)
    exported = export.export(jax.jit(mapped))(*specs)
    assert "convolution" in exported.mlir_module()
    np.testing.assert_allclose(exported.call(x, k), jax.vmap(convolution, (0, None))(x, k), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "kernel"),
    [
        ({}, winograd),
        ({"channels": 63}, convolve),
        ({"outputs": 63}, convolve),
        ({"size": 65}, convolve),
        ({"stride": 2}, convolve),
        ({"dilation": 2}, convolve),
        ({"taps": 5}, convolve),
        ({"dtype": jnp.bfloat16}, convolve),
        ({"dtype": jnp.bfloat16, "summed": jnp.float32}, convolve),
        ({"summed": jnp.float32}, winograd),
    ],
)
def test_where_it_is_chosen(change, kernel):
    p = {"channels": 64, "outputs": 64, "size": 64, "stride": 1, "dilation": 1, "taps": 3, "dtype": jnp.float32}
    p |= change
    x = jax.ShapeDtypeStruct((1, p["size"], p["size"], p["channels"]), p["dtype"])
    k = jax.ShapeDtypeStruct((p["taps"], p["taps"], p["channels"], p["outputs"]), p["dtype"])
    options = {"rhs_dilation": (p["dilation"],) * 2, "dimension_numbers": NUMBERS}
    options["preferred_element_type"] = p.get("summed")
    made = jax.make_jaxpr(lambda x, k: lax.conv_general_dilated(x, k, (p["stride"],) * 2, "SAME", **options))(x, k)
    assert choose(flatten(made, 1).equations[0]) is kernel


def test_a_map_through_it_is_the_plain_model_s():
    def apply(k, x):
        with jax.named_scope("conv"):
            x = jax.nn.relu(lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NUMBERS))
        x = lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=NUMBERS)
        return jnp.tanh(x).mean((1, 2))

    x, k = arrays(3, 14, 14, channels=64, outputs=64)
    models = [camjax.Model(apply, k / 24, rewrite=rewrite) for rewrite in (True, False)]
    features = [jax.jit(camjax.split(model, x, "conv").features) for model in models]
    assert ["convolution" in f.lower(k, x).compile().as_text() for f in features] == [False, True]
    maps = [camjax.explain(model, x, 7, layer="conv").raw for model in models]
    np.testing.assert_allclose(*maps, rtol=1e-4, atol=1e-6)
