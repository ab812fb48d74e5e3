"""Keras models of every make, wrapped and unwrapped side by side."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from camjax_keras import from_keras, load

import camjax

X = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
layers = keras.layers


def trunk():
    return keras.Sequential(
        [
            layers.Conv2D(6, 3, name="inner_conv"),
            layers.Dropout(0.5, name="inner_dropout"),
            layers.ReLU(name="inner_relu"),
        ],
        name="trunk",
    )


def functional():
    """Branches, a shared layer called twice in a row, a nested model, BatchNorm, and a softmax at the end."""
    x = given = keras.Input((16, 16, 3))
    shared = layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    x = layers.add([shared(shared(x)), x])
    x = layers.BatchNormalization(name="norm")(x)
    x = trunk()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, layers.Dense(4, activation="softmax", name="classes")(x))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.conv, self.dense = layers.Conv2D(6, 3, name="conv"), layers.Dense(4, name="classes")

    def call(self, x, training=False):
        return self.dense(keras.ops.mean(keras.ops.relu(self.conv(x)), (1, 2)))


class Around(keras.Model):
    """A functional model inside of a subclassed one, whose call knows no training."""

    def __init__(self):
        super().__init__()
        given = keras.Input((16, 16, 3))
        self.backbone = keras.Model(given, layers.ReLU(name="relu")(layers.Conv2D(6, 3)(given)), name="backbone")
        self.dense = layers.Dense(4, name="classes")

    def call(self, x):
        return keras.ops.softmax(self.dense(keras.ops.mean(self.backbone(x), (1, 2))))


def around():
    model = Around()
    model(X)
    return model


def sequential():
    return keras.Sequential(
        [keras.Input((16, 16, 3)), trunk(), layers.GlobalAveragePooling2D(), layers.Dense(4, name="classes")]
    )


def subclassed():
    model = Subclassed()
    model(X)
    return model


def shaken(model):
    """With every variable away from its initial zeros and ones."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables + model.non_trainable_variables:
        if variable.dtype == "float32":
            variable.assign(variable.value + rng.uniform(0.1, 0.4, variable.shape))
    return model


MAKES = {
    "functional": (functional, "trunk"),
    "sequential": (sequential, "trunk"),
    "subclassed": (subclassed, "after:conv"),
    "around": (around, "backbone"),
}


@pytest.mark.parametrize("make", MAKES)
def test_outputs_layers_and_maps(make):
    build, default = MAKES[make]
    model = shaken(build())
    wrapped = from_keras(model)
    np.testing.assert_allclose(wrapped(X), model(X), rtol=1e-5, atol=1e-6)
    found = camjax.layers(wrapped, X)
    assert default in (found.default.name, *found.default.aliases), found
    split = camjax.split(wrapped, X)
    assert split.tail == ("softmax" if make in ("functional", "around") else None)
    got = camjax.explain(wrapped, X, 2, size=None)
    maps = jax.nn.relu(split.features(wrapped.params, X)[0])  # already rectified: nothing changes
    weights = model.get_layer("classes").kernel.value[:, 2] / (maps.shape[1] * maps.shape[2])
    np.testing.assert_allclose(got.raw, maps @ weights, atol=1e-5 * float(jnp.abs(maps @ weights).max()))


def test_names_are_kerass_own():
    names = {name for layer in camjax.layers(from_keras(functional()), X) for name in (layer.name, *layer.aliases)}
    assert {"shared#0", "shared#1", "norm", "trunk", "trunk.inner_conv", "trunk.inner_relu", "classes"} <= names


class Skipping(keras.Sequential):
    """Sequential in name: its own call leaves the first layer out."""

    def call(self, x, training=False):
        return self.layers[1](x)


@pytest.mark.parametrize(
    ("build", "silent"),
    [
        (functional, ["trunk.inner_dropout"]),
        (sequential, ["trunk.inner_dropout"]),
        (lambda: Skipping([keras.Input((16, 16, 3)), layers.Dropout(0.5), layers.Conv2D(3, 3)]), []),
    ],
)
def test_a_layer_that_computes_nothing_says_so_where_it_is_sure_to_be_called(build, silent):
    found = camjax.layers(from_keras(build()), X)
    assert [layer.name for layer in found if "computes nothing" in layer.note] == silent
    assert [layer.name for layer in found if not layer.shape] == silent


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_saved_model_is_loaded(tmp_path, suffix):
    model = shaken(functional())
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = load(path, labels=("a", "b", "c", "d"))
    np.testing.assert_allclose(loaded(X), model(X, training=False), rtol=1e-5, atol=1e-6)
    assert camjax.explain(loaded, X, "b").heatmap.shape == (2, 16, 16)


def test_files_without_a_model_and_with_code_are_refused(tmp_path):
    weights = tmp_path / "a.weights.h5"
    functional().save_weights(weights)
    with pytest.raises(ValueError, match=r"a.weights.h5 holds weights and no model; build the model"):
        load(weights)
    with pytest.raises(FileNotFoundError, match=r"nowhere.keras does not exist"):
        load(tmp_path / "nowhere.keras")
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(ValueError, match=r"text.keras cannot be read as a Keras model"):
        load(tmp_path / "text.keras")
    code = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2)])
    code.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match=r"code.keras cannot be read as a Keras model: .*[Ll]ambda"):
        load(tmp_path / "code.keras")


def test_what_is_no_built_keras_model_is_refused(monkeypatch):
    with pytest.raises(TypeError, match=r"model must be a keras.Model, got int"):
        from_keras(3)
    with pytest.raises(ValueError, match=r"Subclassed has no variables yet; call it once, or model.build"):
        from_keras(Subclassed())
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(RuntimeError, match=r"Keras runs on the torch backend, and camjax needs JAX's. Set os.environ"):
        from_keras(functional())
