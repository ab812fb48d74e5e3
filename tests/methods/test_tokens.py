"""The token methods: what they refuse, in words; batches, several targets, and the same model written differently."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testing
from camjax.trace import traced
from tests import models

METHODS = (camjax.LeGrad(), camjax.GAE(), camjax.GradECLIP(), camjax.AttentionRollout())
X = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Together:
    """The maps of several methods, one below the other: compiled once."""

    of: tuple = METHODS
    grid: ClassVar[str] = "own"

    def __call__(self, *, attention):
        return camjax.CoarseMap(jnp.concatenate([method(attention=attention).raw for method in self.of]))


def name(method):
    return type(method).__name__


@pytest.mark.parametrize("method", METHODS, ids=name)
def test_a_convolutional_network_is_refused_by_name(method):
    with pytest.raises(
        ValueError, match=f"method: {name(method)} reads the attention of a vision transformer, got a"
    ) as e:
        camjax.explain(models.model(), models.pictures(), 0, method=method)
    for words in ("model without any: no softmax between two matrix products", "Choose", "camjax.GradCAM()", "xla"):
        assert words in str(e.value)


def test_a_hand_written_split_is_refused():
    with pytest.raises(
        ValueError, match=r"layer: GAE reads .* hand-written camjax.Split conv does not show; leave layer="
    ):
        camjax.explain(models.model(), models.pictures(), 0, layer=models.POOLED, method=camjax.GAE())


@dataclasses.dataclass(frozen=True)
class Changed:
    """A transformer whose attention is done otherwise."""

    windows: bool = False
    bypass: bool = True

    def __call__(self, w, x):
        dims = ("NHWC", "HWIO", "NHWC")
        z = jax.lax.conv_general_dilated(x, w["patch"], (4, 4), "VALID", dimension_numbers=dims)
        size = 3 if self.windows else 6
        with jax.named_scope("attn"):
            t = z.reshape(-1, size, z.shape[-1])
            w = w["blocks"][0] | {"head": w["head"]}
            p = jax.nn.softmax(jnp.einsum("bic,bjc->bij", t @ w["q"], t @ w["k"]))
            out = (jnp.einsum("bij,bjc->bic", p, t @ w["v"]) @ w["out"]).reshape(z.shape)
        z = z + out if self.bypass else jnp.tanh(out)
        return z.mean((1, 2)) @ w["head"]


def changed(**how):
    return camjax.Model(Changed(**how), testing.tiny_transformer().params)


def test_attention_within_windows_is_refused():
    with pytest.raises(
        ValueError, match=r"LeGrad needs attention between all tokens .* \(queries x keys: 3x3\) are with"
    ):
        camjax.explain(changed(windows=True), X, 0, method=camjax.LeGrad())


def test_legrad_says_what_it_looked_for_where_there_is_no_residual_stream():
    model = changed(bypass=False)
    with pytest.raises(ValueError, match=r"method: LeGrad .* no residual stream was found behind block 0: a sum") as e:
        camjax.explain(model, X, 0, method=camjax.LeGrad())
    assert "camjax.GAE() and camjax.AttentionRollout() need the attention alone" in str(e.value)
    shapes = jax.eval_shape(lambda x: camjax.explain(model, x, 0, method=camjax.GAE(), size=None), X)
    assert shapes.raw.shape == (2, 2, 3)


@pytest.mark.parametrize("blocks", [0, True])
def test_legrads_blocks_are_a_number(blocks):
    with pytest.raises(ValueError, match=f"blocks: got {blocks}, expected how many of the last blocks"):
        camjax.LeGrad(blocks=blocks)


def test_a_batch_is_the_stack_of_its_examples_and_only_rollout_ignores_the_target():
    model = testing.tiny_transformer(registers=1, blocks=1)
    got = np.asarray(camjax.explain(model, X, [[0, 1]], method=Together(), size=None, strict=False).raw)
    one = camjax.explain(model, X[1:], [[0, 1]], method=Together(), size=None, strict=False).raw
    np.testing.assert_allclose(got[1:], one, rtol=1e-4, atol=1e-5 * np.abs(got).max())
    legrad, gae, eclip, rollout = np.split(got, 4, axis=2)
    assert [maps.min() >= 0 for maps in (legrad, gae, eclip, rollout)] == [True, True, False, True]
    for maps in (legrad, gae, eclip):
        assert not np.allclose(maps[:, 0], maps[:, 1], rtol=0.05)
    np.testing.assert_array_equal(rollout[:, 0], rollout[:, 1])
    assert (rollout.sum((2, 3)) < 1).all()  # the rest lies on the class token and the register


def of_patches(w, x):
    """`tiny_transformer` with its patches cut by a reshape: no convolution says which axes are space."""
    patches = x.reshape(-1, 2, 4, 3, 4, 3).swapaxes(2, 3).reshape(-1, 6, 48) @ w["patch"].reshape(48, -1)
    with jax.named_scope("embed"):
        z = jnp.concatenate([jnp.broadcast_to(w["tokens"][None], (len(x), *w["tokens"].shape)), patches], 1)
        z = z + w["positions"][None]
    model = testing.tiny_transformer().apply
    for block in w["blocks"]:
        z = z + model.attention(block, normalised(z))
        z = z + jax.nn.gelu(normalised(z) @ block["up"]) @ block["down"]
    return normalised(z)[:, 0] @ w["head"]


def normalised(z):
    z = z - z.mean(-1, keepdims=True)
    return z * jax.lax.rsqrt((z * z).mean(-1, keepdims=True) + 1e-6)


AXES = {"space": 1, "grid": (2, 3), "prefix": 1, "channel": 2}


def test_the_axes_of_a_layer_say_the_tokens_where_no_convolution_does():
    model = testing.tiny_transformer(blocks=1)
    twin = camjax.Model(of_patches, model.params)
    want = camjax.explain(model, X, 1, method=camjax.LeGrad(), size=None).raw
    got = camjax.explain(twin, X, 1, layer="embed", axes=AXES, method=camjax.LeGrad(), size=None).raw
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * np.abs(want).max())


def test_a_layer_with_other_tokens_is_refused_where_no_convolution_says_which():
    twin = camjax.Model(of_patches, testing.tiny_transformer().params)
    with pytest.raises(
        ValueError, match=r"GAE needs .* \(queries x keys: 7x7\) .* name a layer that holds all tokens, with"
    ):
        camjax.explain(twin, X, 1, layer="embed", axes={"space": 2, "channel": 1}, method=camjax.GAE())


def towers(w, x):
    """CLIP's two towers: the picture's transformer, and one over as many words as the picture has tokens."""
    tower = testing.tiny_transformer().apply
    with jax.named_scope("text"):
        z = w["words"][x["text"]]
        z = (z + tower.attention(w["reader"], normalised(z))).mean(1)
    return {"image_embeds": tower(w, x["image"]), "text_embeds": z @ w["head"]}


def test_grad_eclip_explains_the_similarity_of_two_towers_by_the_picture_alone():
    w = testing.tiny_transformer().params
    words = np.random.default_rng(2).normal(size=(11, 8)).astype(np.float32)
    model = camjax.Model(towers, w | {"words": jnp.asarray(words), "reader": w["blocks"][0]})
    x = {"image": X[:1], "text": np.arange(7)[None]}
    found = traced(model, x).attentions()
    tokens = found.over(traced(model, x).split().axes)
    assert (len(found.found), len(tokens.blocks)) == (3, 2)
    got = camjax.explain(model, x, camjax.targets.similarity(0), method=camjax.GradECLIP(), size=None)
    text = model(x)["text_embeds"]
    alone = camjax.explain(
        testing.tiny_transformer(), X[:1], camjax.targets.embedding(text), method=camjax.GradECLIP(), size=None
    )
    np.testing.assert_allclose(got.raw, alone.raw.reshape(got.raw.shape), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got.score.ravel(), alone.score.ravel(), rtol=1e-5)


def test_legrad_costs_one_forward_pass_and_about_as_much_again():
    model = testing.tiny_transformer(width=64, grid=(4, 4), classes=3)
    x = jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32)

    def flops(function):
        return jax.jit(function).lower(model, x).compile().cost_analysis()["flops"]

    explained = flops(camjax.explainer(model, x, method=camjax.LeGrad(), size=None))
    assert explained < 2.5 * flops(lambda model, x: model(x))
