"""The CPU's expressions are the convolution up to rounding, under every transformation, and on a CPU alone."""

import contextlib
import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax
from jax.extend.core import jaxpr_as_fun

import camjax
from camjax.trace import _cpu, _cpu_kernels, _cpu_order, _cpu_wide, traced
from camjax.trace._cpu import choose, run
from camjax.trace._cpu_grouped import grouped
from camjax.trace._cpu_wide import convolve
from camjax.trace._flatten import flatten
from tests.trace.nets import conv, kernel

ONES = ("depthwise", "pointwise", "tiles", "unfolded")
KERNELS = [*(getattr(_cpu_kernels, name) for name in ONES), grouped, convolve]
scope = jax.named_scope
LAYOUTS = {
    1: (("NWC", "WIO", "NWC"), ("NCW", "OIW", "NCW")),
    2: (("NHWC", "HWIO", "NHWC"), ("NCHW", "HWIO", "NCHW"), ("CHWN", "OIHW", "NHWC")),
    3: (("NDHWC", "DHWIO", "NDHWC"), ("NCDHW", "OIDHW", "NCDHW")),
}


@st.composite
def convolutions(draw):
    """A convolution that is evaluated by another expression on a CPU: its operands and its options."""
    axes = draw(st.sampled_from([1, 2, 2, 2, 3]))
    per_axis = lambda low, high: [draw(st.integers(low, high)) for _ in range(axes)]  # noqa: E731 - a shorthand
    kind = draw(st.sampled_from(["depthwise", "pointwise", "grouped", "tiles", "few", "dense"]))
    groups = 1 if kind in ("pointwise", "tiles", "few", "dense") else draw(st.integers(2, 6))
    taps = [1] * axes if kind == "pointwise" else per_axis(1, 3)
    channels = groups * (1 if kind in ("depthwise", "few") else draw(st.sampled_from([2, 3, 12])))
    dilation, space = per_axis(1, 2), per_axis(6, 7)
    strides, padding = per_axis(1, 3), [(draw(st.integers(-1, 2)), draw(st.integers(0, 2))) for _ in range(axes)]
    if kind == "tiles":
        taps, dilation, padding = (strides := [draw(st.integers(2, 3))] * axes), [1] * axes, [(0, 0)] * axes
    out = groups * draw(st.integers(1, 3))
    letters = draw(st.sampled_from(LAYOUTS[axes]))
    sizes = dict(zip(letters[0], "." * (axes + 2), strict=True))
    sizes |= {"N": 2, "C": channels, **dict(zip("HWD"[:axes] if axes > 1 else "W", space, strict=True))}
    wide = {"I": channels // groups, "O": out, **dict(zip("HWD"[:axes] if axes > 1 else "W", taps, strict=True))}
    dtype = draw(st.sampled_from([jnp.float32, jnp.float32, jnp.bfloat16]))
    x = jax.random.normal(jax.random.key(1), [sizes[a] for a in letters[0]], dtype)
    k = jax.random.normal(jax.random.key(2), [wide[a] for a in letters[1]], dtype)
    options = {
        "window_strides": strides,
        "padding": padding,
        "rhs_dilation": dilation,
        "dimension_numbers": letters,
        "feature_group_count": groups,
    }
    return x, k, options


def both(x, k, options, kind=None):
    """The convolution, and what the last pass makes of it."""

    def plain(x, k):  # padded apart: XLA's own reads beyond the picture where padding is negative at its beginning
        letters = options["dimension_numbers"][0]
        pads = dict(zip([a for a in letters if a not in "NC"], options["padding"], strict=True))
        x = lax.pad(x, jnp.zeros((), x.dtype), [(*pads.get(axis, (0, 0)), 0) for axis in letters])
        return lax.conv_general_dilated(x, k, **{**options, "padding": "VALID"})

    program = flatten(jax.make_jaxpr(lambda x, k: lax.conv_general_dilated(x, k, **options))(x, k), 1)
    assert choose(program.equations[0]) in ([kind] if kind else KERNELS)

    def fast(x, k):
        env = dict(zip((*program.params, *program.inputs), (x, k), strict=True))
        return run(program.equations, env, program.outputs, rewrite=True)[0]

    return plain, fast


@settings(max_examples=16)
@given(convolutions())
def test_the_expressions_are_the_convolution(case):
    x, k, options = case
    plain, fast = both(x, k, options)
    tolerance = 1e-5 if x.dtype == jnp.float32 else 3e-2
    got, want = jax.jit(fast)(x, k), jax.jit(plain)(x, k)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(*(np.asarray(a, np.float32) for a in (got, want)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("groups", "taps", "kind"),
    [
        (1, (1, 1), _cpu_kernels.pointwise),
        (1, (3, 3), convolve),
        (1, (2, 2), _cpu_kernels.unfolded),
        (1, (2, 1), _cpu_kernels.tiles),
        (2, (3, 3), grouped),
        (4, (3, 3), _cpu_kernels.depthwise),
    ],
)
def test_their_derivatives_are_the_convolution_s_too_also_mapped(groups, taps, kind):
    x, k = kernel(3, 2, 6, 5, 4), kernel(*taps, 4 // groups, 8)
    padding = [(0, 0), (0, 0)] if kind is _cpu_kernels.tiles else [(1, 0), (1, 2)]
    options = {"window_strides": (2, 1), "padding": padding, "rhs_dilation": (1, 1)}
    options |= {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": groups}

    def loss(f):
        return lambda x, k: jnp.sum(jnp.sin(jax.vmap(f, (0, None))(x, k)))

    plain, fast = both(x[0], k, options, kind)
    got, want = (jax.jit(jax.value_and_grad(loss(f), (0, 1)))(x, k) for f in (fast, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)
    of_both, of_x, of_k = (x, k), (x, 0 * k), (0 * x, k)
    for along in (of_both, of_x, of_k):  # forwards, too
        got, want = (jax.jvp(loss(f), (x, k), along)[1] for f in (fast, plain))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def norm(x, p):
    """A normalisation over space and a scale per channel, channels first."""
    centred = x - x.mean((2, 3), keepdims=True)
    return p.reshape(1, -1, 1, 1) * centred / jnp.sqrt((centred**2).mean((2, 3), keepdims=True) + 1e-5)


def channels_first(params, x):
    """What stands between the convolutions of networks that have the channels first."""
    numbers = ("NCHW", "HWIO", "NCHW")

    def depthwise(x, name, stride=1):
        pad, strides = [(1, 1), (1, 2)], (stride, 1)
        return lax.conv_general_dilated(
            x, params[name], strides, pad, dimension_numbers=numbers, feature_group_count=x.shape[1]
        )

    def dense(x, name):
        return lax.conv_general_dilated(x, params[name], (1, 1), "SAME", dimension_numbers=numbers)

    with scope("first"):
        x = jax.nn.relu6(norm(depthwise(x, "depthwise"), params["scale"]))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 2), (1, 1, 2, 1), ((0, 0), (0, 0), (1, 1), (0, 0)))
    with scope("gated"):
        gate = jax.nn.sigmoid(dense(x.mean((2, 3), keepdims=True), "pointwise"))
        x = jax.nn.silu(lax.optimization_barrier(dense(x, "pointwise"))) * gate
    with scope("joined"):
        x = jnp.concatenate([x, jnp.pad(dense(x, "dense"), ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, 1:]], 1)
    with scope("last"):
        y = depthwise(x, "wide").transpose(0, 2, 3, 1)
        y = jax.nn.gelu((y - y.mean(-1, keepdims=True)) @ params["mix"]).transpose(0, 3, 1, 2)
        strong = lax.reduce_window((x > 1).astype(jnp.int32), 0, lax.max, (1, 1, 2, 2), (1, 1, 1, 1), "SAME")
        x = jnp.where((x > 0) | (strong > 0), x, 0.1 * x)[..., : y.shape[3]] + y[..., : x.shape[3]]
    return (x.max((2, 3)) + x.mean((2, 3))) @ params["classes"]


PARAMS = {
    "depthwise": kernel(3, 3, 1, 4),
    "scale": kernel(4) + 1,
    "pointwise": kernel(1, 1, 4, 4),
    "dense": kernel(3, 3, 4, 4),
    "wide": kernel(3, 3, 1, 8),
    "mix": kernel(8, 8),
    "classes": kernel(8, 3),
}
X = jax.random.normal(jax.random.key(1), (2, 4, 9, 7))


@pytest.mark.parametrize(
    ("strides", "dilation", "padding", "outputs", "product"),
    [
        ((1, 1), (1, 1), [(1, 1), (1, 1)], 64, True),
        ((2, 1), (1, 2), [(1, 0), (-1, 2)], 64, True),
        ((2, 2), (1, 1), [(1, 1), (1, 1)], 63, False),  # few outputs
        ((1, 1), (1, 1), [(120, 120), (120, 120)], 64, False),  # a large map
    ],
)
def test_the_slope_of_a_small_map_is_a_product(strides, dilation, padding, outputs, product):
    x, k = kernel(2, 9, 8, 3), kernel(3, 3, 3, outputs)
    window = _cpu_kernels.Window(strides, tuple(padding), dilation, None, None)

    def plain(x):
        return _cpu_kernels._convolution(window, x, k, (3, 2))

    slopes = kernel(*plain(x).shape)
    found = [
        jax.make_jaxpr(lambda x, y, f=f: jax.vjp(f, x)[1](y)[0])(x, slopes)
        for f in (lambda x: _cpu_kernels.dense(window, x, k), plain)
    ]
    assert [str(one).count(" dot_general") for one in found] == [int(product), 0]
    assert [str(one).count(" conv_general_dilated") for one in found] == [2 - product, 2]  # forward, and back
    got, want = (jax.jit(jaxpr_as_fun(one))(x, slopes)[0] for one in found)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_no_map_depends_on_it():
    model = camjax.Model(channels_first, PARAMS)
    plain = dataclasses.replace(model, rewrite=False)
    names = [[layer.name for layer in camjax.layers(m, X)] for m in (model, plain)]
    assert names[0] == names[1]
    maps = [camjax.explain(m, X, [[0, 1, 2]], layer="first").raw for m in (model, plain)]
    np.testing.assert_allclose(*maps, rtol=1e-3, atol=1e-6)


def test_the_derivative_of_the_whole_model_is_the_model_s():
    model = camjax.Model(channels_first, PARAMS)
    found = [
        camjax.saliency.attribute(m, X, 1, method=camjax.saliency.Gradient()).values
        for m in (model, dataclasses.replace(model, rewrite=False))
    ]
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-6)


def test_the_option_turns_it_off():
    model = camjax.Model(channels_first, PARAMS)
    plain = dataclasses.replace(model, rewrite=False)
    found = [str(jax.make_jaxpr(camjax.explainer(m, X, layer="joined"))(m, X, 1)) for m in (model, plain)]
    assert ["platform_index" in text for text in found] == [True, False]
    assert traced(model, X) is not traced(plain, X)


@pytest.mark.parametrize("method", [camjax.ScoreCAM(), camjax.methods.OptiCAM(steps=2)])
def test_in_a_loop_each_convolution_has_the_layout_that_xla_is_fast_at(method):
    def apply(params, x):
        for name, k in params.items():
            with scope(name):
                x = lax.conv_general_dilated(x, k, (2, 1), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
                x = jnp.tanh(x)
        return x.mean((2, 3))

    model = camjax.Model(apply, {name: kernel(4, 4, 3, 3) for name in ("one", "two")})
    loops = {}
    for rewrite in (True, False):
        one = dataclasses.replace(model, rewrite=rewrite)
        program = jax.jit(camjax.explainer(one, X, layer="two", method=method)).lower(one, X, 1).compile()
        lines = [line for line in (program.as_text() or "").splitlines() if "/while/" in line]
        loops[rewrite] = set(re.findall(r" convolution\(.*dim_labels=([^, ]*)", "\n".join(lines)))
    assert loops[True] == {"b01f_01io->b01f"}
    assert "bf01_oi01->bf01" in loops[False]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_what_is_closed_is_any_number_and_has_its_derivative(dtype):
    x = jnp.asarray([1.5, -0.0, jnp.inf, -jnp.inf, jnp.nan, 3e38], dtype)
    got, slope = jax.jit(lambda x: jax.jvp(_cpu_kernels.closed, (x,), (x,)))(x)
    for found in (got, slope):
        np.testing.assert_array_equal(np.asarray(found, np.float32), np.asarray(x, np.float32))
        np.testing.assert_array_equal(jnp.signbit(found[:4]), jnp.signbit(x[:4]))


def convnext(params, x):
    """Two of its blocks and the normalisation behind them, channels last."""

    def normed(x):
        x = x - x.mean(-1, keepdims=True)
        return x / jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)

    numbers = ("NHWC", "HWIO", "NHWC")
    for name in ("one", "two"):
        with scope(name):
            y = lax.conv_general_dilated(
                x, params["taps"], (1, 1), "SAME", dimension_numbers=numbers, feature_group_count=x.shape[-1]
            )
            x = x + jax.nn.gelu(normed(y) @ params["widen"], approximate=False) @ params["narrow"]
    with scope("last"):
        x = jax.nn.relu(normed(x) @ params["narrow"].T)
    return x.mean((1, 2))


@contextlib.contextmanager
def opened(*modules):
    """Without the bounds that these close; jax keeps what it traced of custom derivatives, by shape."""
    jax.clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(module, "closed", lambda x: x)
        yield
    jax.clear_caches()


def custom_fusions(model, x, layer):
    """The bodies of those that XLA hands to its library for CPUs."""
    text = jax.jit(camjax.explainer(model, x, layer=layer)).lower(model, x, 1).compile().as_text() or ""
    bodies = dict(re.findall(r"^%?([\w.-]+) \([^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL))
    return [bodies[name] for name in re.findall(r"fusion\([^\n]*kind=kCustom, calls=%?([\w.-]+)", text)]


def pooled(params, x, order):
    """Two stages of VGG, the channels where `order` has them: between convolutions, biases, ReLUs and max-pooling."""
    letters, windows = (order, "HWIO", order), tuple(1 if axis in "NC" else 2 for axis in order)
    bias = params["bias"].reshape([-1 if axis == "C" else 1 for axis in order])
    for name in ("first", "second"):
        x = jax.nn.relu(conv(x, params[name][0], letters=letters) + bias)
        with scope(name):
            x = jax.nn.relu(conv(x, params[name][1], letters=letters) + bias)
        x = lax.reduce_window(x, -jnp.inf, lax.max, windows, windows, "VALID")
    return x.mean((order.index("H"), order.index("W")))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="reads a program that is compiled for a CPU")
@pytest.mark.parametrize("order", ["NCHW", "NHWC"])
def test_convolutions_and_pooling_take_no_relu_into_their_loops(monkeypatch, order):
    params = {"first": [kernel(3, 3, 3, 48), kernel(3, 3, 48, 48)], "second": [kernel(3, 3, 48, 48)] * 2}
    params["bias"] = kernel(48)
    monkeypatch.setattr(_cpu_wide, "cores", lambda: 1)  # strips are laid out by a loop of their own
    x, taken = jnp.ones([{"N": 8, "C": 3}.get(axis, 64) for axis in order]), []
    for modules in ([], [_cpu_order], [_cpu_kernels]):
        model = camjax.Model(lambda params, x: pooled(params, x, order), params)
        with opened(*modules):
            bodies = custom_fusions(model, x, "second")
        taken.append(sum(b.count(" maximum(") for b in bodies if " convolution(" in b or " reduce-window(" in b))
    assert taken[0] < min(taken[1:])


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="reads a program that is compiled for a CPU")
def test_matrix_products_take_less_of_what_stands_before_them_into_their_loops():
    params = {"taps": kernel(7, 7, 1, 32), "widen": kernel(32, 128), "narrow": kernel(128, 32)}
    x, taken = jnp.ones((8, 28, 28, 32)), []
    for modules in ([], [_cpu, _cpu_kernels]):
        model = camjax.Model(lambda params, x: convnext(params, x), params)
        with opened(*modules):
            products = [body for body in custom_fusions(model, x, "last") if " dot(" in body]
        taken.append(sum(body.count(" multiply(") for body in products))
    assert taken[0] < taken[1]


@pytest.mark.parametrize("platform", ["cuda", "tpu", "cpu"])
def test_other_platforms_get_the_convolutions(platform):
    model = camjax.Model(channels_first, PARAMS)
    cut = camjax.split(model, X, "joined")
    features = jax.jit(lambda params, x: cut.features(params, x)[0])
    text = export.export(features, platforms=[platform])(PARAMS, X).mlir_module()
    assert text.count("stablehlo.convolution") == (1 if platform == "cpu" else 4)
