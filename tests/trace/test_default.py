"""The layer that is explained when none is named, for each way in which models end."""

import jax
import jax.numpy as jnp
import pytest

from tests.trace.nets import conv, kernel, trace

X = jnp.zeros((1, 8, 16, 3))
scope = jax.named_scope


def default_of(apply, params, x=X):
    layer = trace(apply, params, x).layers.default
    return layer and layer.name


def stage(name, x, w, stride=1):
    with scope(name):
        return jax.nn.relu(conv(x, w, stride))


def test_a_network_with_a_pooled_head_is_explained_at_its_last_stage():
    def apply(p, x):
        x = stage("stage2", stage("stage1", x, p["a"]), p["b"], 2)
        with scope("pool"):
            x = x.mean((1, 2))
        with scope("head"):
            return x @ p["head"]

    params = {"a": kernel(3, 3, 3, 4), "b": kernel(3, 3, 4, 6), "head": kernel(6, 5)}
    assert default_of(apply, params) == "stage2"


def test_a_flattened_map_counts_as_contracted():
    def apply(p, x):
        return stage("stage", x, p["a"], 4).reshape(x.shape[0], -1) @ p["head"]

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "head": kernel(2 * 4 * 4, 5)}) == "stage"


def test_a_map_pooled_to_one_pixel_is_no_map():
    def apply(p, x):
        x = stage("stage", x, p["a"])
        with scope("pool"):
            x = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 8, 16, 1), (1, 8, 16, 1), "VALID")
        return x.reshape(x.shape[0], -1) @ p["head"]

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "head": kernel(4, 5)}) == "stage"


def test_a_convolution_to_classes_is_explained_in_front_of_it():
    """SqueezeNet's end."""

    def apply(p, x):
        x = stage("features", x, p["a"])
        return stage("classifier", x, p["classes"]).mean((1, 2))

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "classes": kernel(1, 1, 4, 5)}) == "features"


def test_a_network_without_a_head_is_explained_at_its_last_map():
    def apply(p, x):
        x = stage("stage2", stage("stage1", x, p["a"]), p["b"])
        return x.mean((1, 2))

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "b": kernel(3, 3, 4, 6)}) == "stage2"


def test_features_that_are_handed_out_beside_the_scores_are_explained_like_the_scores():
    def apply(p, x):
        pooled = stage("stage", x, p["a"]).mean((1, 2))
        return pooled @ p["head"], pooled

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "head": kernel(4, 5)}) == "stage"


def test_a_network_of_1x1_convolutions_with_learnt_scales_has_no_head():
    def apply(p, x):
        x = stage("stem", x, p["a"])
        with scope("last"):
            x = jax.nn.relu(conv(x, p["b"]) * p["scale"])
        return x.mean((1, 2))

    params = {"a": kernel(3, 3, 3, 4), "b": kernel(1, 1, 4, 6), "scale": kernel(1, 1, 1, 6)}
    assert default_of(apply, params) == "last"


def test_a_segmentation_head_is_explained_in_front_of_it():
    def apply(p, x):
        y = stage("decoder", stage("encoder", x, p["a"], 2), p["b"])
        with scope("classes"):
            y = conv(y, p["classes"])
        with scope("upsample"):
            return jax.image.resize(y, (x.shape[0], 8, 16, 5), "linear")

    params = {"a": kernel(3, 3, 3, 4), "b": kernel(3, 3, 4, 6), "classes": kernel(1, 1, 6, 5)}
    assert default_of(apply, params) == "decoder"


def test_what_a_skip_connection_bypasses_is_not_complete():
    def apply(p, x):
        x = stage("stem", x, p["a"])
        with scope("block"):
            with scope("branch"):
                y = conv(x, p["b"])
            x = x + y
        return x.mean((1, 2)) @ p["head"]

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "b": kernel(3, 3, 4, 4), "head": kernel(4, 5)}) == "block"


def test_channel_attention_after_the_last_stage_is_part_of_it():
    def apply(p, x):
        x = stage("stage", x, p["a"])
        with scope("se"):
            x = x * jax.nn.sigmoid(x.mean((1, 2)) @ p["gate"])[:, None, None]
        return x.mean((1, 2)) @ p["head"]

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "gate": kernel(4, 4), "head": kernel(4, 5)}) == "se"


def norm(name, x):
    with scope(name):
        mean = x.mean(-1, keepdims=True)
        return (x - mean) * jax.lax.rsqrt(((x - mean) ** 2).mean(-1, keepdims=True) + 1e-6)


def transformer(extra, pooled):
    def apply(p, x):
        with scope("patches"):
            y = conv(x, p["patches"], 4, "VALID").reshape(x.shape[0], -1, 4)
        if extra:
            y = jnp.concatenate([jnp.broadcast_to(p["extra"], (x.shape[0], extra, 4)), y], 1)
        for i in range(2):
            z = norm(f"block{i}.norm1", y)
            with scope(f"block{i}.attention"):
                attention = jax.nn.softmax(z @ p[f"qk{i}"] @ z.swapaxes(1, 2))
                y = y + attention @ z @ p[f"v{i}"]
            with scope(f"block{i}.mlp"):
                y = y + jax.nn.gelu(norm("norm2", y) @ p[f"mlp{i}"])
        y = norm("norm", y)
        y = y[:, extra:].mean(1) if pooled else y[:, 0]
        return y @ p["head"]

    params = {f"{name}{i}": kernel(4, 4, key=i) for name in ("qk", "v", "mlp") for i in (0, 1)}
    return apply, params | {"patches": kernel(4, 4, 3, 4), "extra": kernel(1, extra, 4), "head": kernel(4, 5)}


def test_with_a_class_token_the_last_block_is_explained_before_its_attention():
    assert default_of(*transformer(extra=1, pooled=False)) == "block1.norm1"


@pytest.mark.parametrize("registers", [0, 4])
def test_with_pooled_tokens_the_last_norm_is_explained(registers):
    assert default_of(*transformer(extra=registers, pooled=True)) == "norm"


def test_a_module_that_only_permutes_is_not_named():
    """Swin's end: norm, permute, pool, flatten, head."""

    def apply(p, x):
        y = norm("norm", stage("stage", x, p["a"]))
        with scope("permute"):
            y = y.transpose(0, 3, 1, 2)
        return y.mean((2, 3)) @ p["head"]

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "head": kernel(4, 5)}) == "norm"


def test_a_stage_that_ends_in_a_permutation_is_named():
    def apply(p, x):
        with scope("stage"):
            with scope("conv"):
                y = conv(x, p["a"])
            y = y.transpose(0, 3, 1, 2)
        return y.mean((2, 3)) @ p["head"]

    assert default_of(apply, {"a": kernel(3, 3, 3, 4), "head": kernel(4, 5)}) == "stage"


def test_a_value_without_a_name_is_called_by_its_primitive():
    def apply(p, x):
        return jax.nn.relu(conv(conv(x, p["a"]), p["b"])).mean((1, 2)) @ p["head"]

    params = {"a": kernel(3, 3, 3, 4), "b": kernel(3, 3, 4, 4), "head": kernel(4, 5)}
    found = trace(apply, params, X)
    assert [layer.name for layer in found.layers] == ["max@0"]
    assert found.split().name == found.split("max@0").name == "max@0"


def test_a_value_inside_a_custom_derivative_is_not_chosen_where_another_will_do():
    @jax.custom_jvp
    def sealed(x, w):
        with scope("inside"):
            y = conv(x, w)
        return jax.nn.relu(y)

    sealed.defjvp(lambda primals, tangents: (sealed(*primals), sealed(*primals)))

    def apply(p, x):
        return sealed(stage("stage", x, p["a"]), p["b"]).mean((1, 2)) @ p["head"]

    params = {"a": kernel(3, 3, 3, 4), "b": kernel(3, 3, 4, 4), "head": kernel(4, 5)}
    layers = trace(apply, params, X).layers
    assert layers["inside"].note == "inside a custom derivative, which is bypassed"
    assert layers.default.note == ""


def test_without_a_convolution_the_axes_are_asked_for():
    def apply(p, x):
        with scope("patches"):
            y = x.reshape(x.shape[0], 8, 16 * 3) @ p
        return y.mean(1)

    found = trace(apply, kernel(48, 4), X)
    assert found.layers.default is None
    with pytest.raises(ValueError, match=r"layer: no convolution labels the space axes of x, so no default.*axes=dict"):
        found.split()
    with pytest.raises(ValueError, match=r"axes: no convolution labels.*layer 'patches' \(shape 1x8x4\) are unknown"):
        found.split("patches")
    assert found.split("patches", axes={"space": 1, "grid": (2, 4), "channel": 2}).axes.grid == (2, 4)


def test_a_model_whose_maps_are_cut_before_they_are_used_has_no_spatial_layer():
    """One row of the last map is all that the score sees."""

    def apply(p, x):
        with scope("row"):
            y = conv(x[:, :, :8], p, padding="VALID")
        return y.mean((1, 2))

    found = trace(apply, kernel(3, 3, 3, 4), X)
    with pytest.raises(ValueError, match=r"layer: no spatial layer was found: no value .* whole grid of x beside"):
        found.split()
    with pytest.raises(ValueError, match=r"axes: layer 'row' \(shape 1x6x6x4\) does not carry the whole grid"):
        found.split("row")
