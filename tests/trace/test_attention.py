"""Attention is found however it is written, and what is not attention is not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testing
from camjax.trace import traced
from tests.wild.transformers import class_token, registers_and_mean_pooling, scanned_class_token

HEADS, DEPTH, GRID = 2, 4, (2, 3)
TOKENS = 1 + GRID[0] * GRID[1]
WEIGHTS = {
    name: np.random.default_rng(n).normal(size=shape).astype(np.float32) / 3
    for n, (name, shape) in enumerate(
        {"patch": (2, 2, 3, 8), "q": (8, 8), "k": (8, 8), "v": (8, 8), "mix": (HEADS, HEADS), "head": (8, 3)}.items()
    )
}
PICTURE = np.random.default_rng(7).normal(size=(1, 4, 6, 3)).astype(np.float32)


def model(attention, weights=WEIGHTS):
    """Patches and a class token, one attention `[B, T, H, d]` with a bypass, the class token's scores."""

    def apply(w, x):
        dims = ("NHWC", "HWIO", "NHWC")
        z = jax.lax.conv_general_dilated(x, w["patch"], (2, 2), "VALID", dimension_numbers=dims)
        z = z.reshape(x.shape[0], -1, 8)
        z = jnp.concatenate([jnp.ones_like(z[:, :1]), z], 1)
        q, k, v = ((z @ w[name]).reshape(*z.shape[:2], HEADS, DEPTH) for name in "qkv")
        with jax.named_scope("attn"):
            z = z + attention(w, q, k, v).reshape(z.shape)
        return z[:, 0] @ w["head"]

    return camjax.Model(apply, weights)


def logits(q, k):
    return jnp.einsum("bqhd,bkhd->bhqk", q, k) / 2


def of(p, v):
    return jnp.einsum("bhqk,bkhd->bqhd", p, v)


def plain(w, q, k, v):
    return of(jax.nn.softmax(logits(q, k)), v)


def by_hand(w, q, k, v):
    s = logits(q, k)
    e = jnp.exp(s - s.max(-1, keepdims=True))
    return of(e / e.sum(-1, keepdims=True), v)


def without_shift(w, q, k, v):
    e = jnp.exp(logits(q, k))
    return of(e * (1 / e.sum(-1, keepdims=True)), v)


def from_logarithms(w, q, k, v):
    return of(jnp.exp(jax.nn.log_softmax(logits(q, k))), v)


def keys_first(w, q, k, v):
    s = jnp.einsum("bkhd,bqhd->bhkq", k, q) / 2
    return jnp.einsum("bkhd,bhkq->bqhd", v, jax.nn.softmax(s, axis=2))


def heads_beside_the_batch(w, q, k, v):
    q, k, v = (jnp.swapaxes(a, 1, 2).reshape(-1, TOKENS, DEPTH) for a in (q, k, v))
    p = jax.nn.softmax(q @ jnp.swapaxes(k, 1, 2) / 2)
    return jnp.swapaxes((p @ v).reshape(-1, HEADS, TOKENS, DEPTH), 1, 2)


def one_example(w, q, k, v):
    """Mapped over the batch, heads alone in front."""

    def one(q, k, v):
        p = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", q, k) / 2)
        return jnp.einsum("hqk,khd->qhd", p, v)

    return jax.vmap(one)(q, k, v)


def jaxs_own(w, q, k, v):
    return jax.nn.dot_product_attention(q, k, v, scale=0.5)


def in_half_precision(w, q, k, v):
    p = jax.nn.softmax(logits(q, k).astype(jnp.bfloat16).astype(jnp.float32))
    return of(p.astype(jnp.bfloat16).astype(jnp.float32), v)


def own_derivative(w, q, k, v):
    attention = jax.custom_vjp(functools.partial(plain, None))
    attention.defvjp(lambda q, k, v: (attention(q, k, v), None), lambda _, g: (g, g, g))
    return attention(q, k, v)


WRITTEN = [
    plain,
    by_hand,
    without_shift,
    from_logarithms,
    keys_first,
    heads_beside_the_batch,
    one_example,
    jaxs_own,
    in_half_precision,
    own_derivative,
    jax.jit(plain),
    jax.checkpoint(plain),
]


def attentions(model, x=PICTURE):
    trace = traced(model, x)
    tokens = trace.attentions().over(trace.layers["attn"].axes)
    assert tokens is not None
    split = trace.split("attn")
    with jax.disable_jit():
        env = tokens.run(split, split.bound(model.params), x[:1])
    return tokens, env


def arrays(block, env):
    return {name: np.asarray(op.of(env[op.value])) for name, op in zip(block._fields, block, strict=True)}


@pytest.mark.parametrize("attention", WRITTEN, ids=lambda f: f.__name__)
def test_queries_keys_values_probabilities_and_result_are_found(attention):
    tokens, env = attentions(model(attention))
    (block,) = tokens.blocks
    got = arrays(block, env)
    assert {name: a.shape for name, a in got.items()} == {
        "query": (HEADS, TOKENS, DEPTH),
        "key": (HEADS, TOKENS, DEPTH),
        "value": (HEADS, TOKENS, DEPTH),
        "probability": (HEADS, TOKENS, TOKENS),
        "output": (HEADS, TOKENS, DEPTH),
    }
    scores = np.einsum("hid,hjd->hij", got["query"], got["key"])
    loose = 0.02 if attention is in_half_precision else 1e-5  # bfloat16
    # Some scale queries before the product, others its result.
    fits = [
        np.allclose(np.exp(s * scores) / np.exp(s * scores).sum(-1, keepdims=True), got["probability"], atol=loose)
        for s in (1, 0.5)
    ]
    assert any(fits)
    np.testing.assert_allclose(got["output"], got["probability"] @ got["value"], atol=1e-5)
    np.testing.assert_array_equal(tokens.places, [[1, 2, 3], [4, 5, 6]])


def test_the_tokens_are_in_the_order_of_the_picture():
    tokens, env = attentions(model(plain))
    got = arrays(tokens.blocks[0], env)
    patches = PICTURE[0].reshape(2, 2, 3, 2, 3).transpose(0, 2, 1, 3, 4).reshape(6, 12)
    z = np.concatenate([np.ones((1, 8)), patches @ WEIGHTS["patch"].reshape(12, 8)])
    for name, operand in (("q", "query"), ("k", "key"), ("v", "value")):
        want = (z @ WEIGHTS[name]).reshape(TOKENS, HEADS, DEPTH).swapaxes(0, 1)
        np.testing.assert_allclose(got[operand], want, atol=1e-5)


def test_heads_that_share_keys_and_values():
    def grouped(w, q, k, v):
        return jax.nn.dot_product_attention(q, k[:, :, :1], v[:, :, :1])

    tokens, env = attentions(model(grouped))
    got = arrays(tokens.blocks[0], env)
    assert (got["probability"].shape, got["key"].shape) == ((HEADS, TOKENS, TOKENS), (1, TOKENS, DEPTH))
    np.testing.assert_allclose(got["output"], got["probability"] @ got["value"], atol=1e-5)


def test_masks_biases_and_mixed_heads_stand_between():
    def dressed(w, q, k, v):
        s = jnp.where(jnp.tri(TOKENS, dtype=bool)[None, None], logits(q, k), -jnp.inf)
        s = s + jnp.arange(float(TOKENS))[None, None, None]  # a bias by position
        s = s + jnp.einsum("bqhd,d->bhq", q, w["mix"].reshape(-1))[..., None]  # and one by the query's content
        s = jnp.einsum("bhqk,hg->bgqk", s, w["mix"])
        p = jnp.einsum("bhqk,hg->bgqk", jax.nn.softmax(jnp.where(s > -1e30, s, -1e30)), w["mix"])
        return of(p, v)

    tokens, env = attentions(model(dressed))
    got = arrays(tokens.blocks[0], env)
    np.testing.assert_allclose(got["output"], got["probability"] @ got["value"], atol=1e-5)
    want = np.broadcast_to(WEIGHTS["mix"].sum(0)[:, None], got["probability"].shape[:2])
    np.testing.assert_allclose(got["probability"].sum(-1), want, atol=1e-5)  # as the values are weighted


def over_channels(w, q, k, v):
    """Linear attention: a softmax over channels, no probabilities of keys for queries."""
    context = jnp.einsum("bkhd,bkhe->bhde", jax.nn.softmax(k, axis=1), v)
    return jnp.einsum("bqhd,bhde->bqhe", jax.nn.softmax(q), context)


def experts(w, q, k, v):
    """A router over the tokens: the scores are products with weights."""
    share = jax.nn.softmax(jnp.einsum("bthd,hg->btgd", v, w["mix"]), axis=1)
    return jnp.einsum("bthd,bthe->bhde", share, v).sum((2,))[:, None] + v


def windows(w, q, k, v):
    """Rows of the picture, each by itself; the class token stays."""

    def rows(a):
        return a[:, 1:].reshape(-1, GRID[1], HEADS, DEPTH)

    out = plain(w, rows(q), rows(k), rows(v)).reshape(q.shape[0], -1, HEADS, DEPTH)
    return jnp.concatenate([v[:, :1], out], 1)


def fewer_keys(w, q, k, v):
    def pooled(a):
        return (a[:, 1::2] + a[:, 2::2]) / 2

    return plain(w, q, pooled(k), pooled(v))


@pytest.mark.parametrize(("attention", "found"), [(over_channels, 0), (experts, 0), (windows, 1), (fewer_keys, 1)])
def test_what_is_no_attention_between_all_tokens_is_left_out(attention, found):
    trace = traced(model(attention), PICTURE)
    attentions = trace.attentions()
    assert len(attentions.found) == found
    assert attentions.over(trace.layers["attn"].axes) is None


@pytest.mark.parametrize("make", [class_token, scanned_class_token, registers_and_mean_pooling])
def test_all_blocks_are_found_scanned_or_not(make):
    case = make()
    with jax.numpy_rank_promotion("allow"):  # a model of other people
        trace = traced(case.model, case.x)
    tokens = trace.attentions().over(trace.split(case.layer).axes)
    assert tokens is not None
    assert len(tokens.blocks) == len(tokens.streams) == 3
    assert tokens.obstacle() == ""
    first = 4 if make is registers_and_mean_pooling else 1
    np.testing.assert_array_equal(tokens.places.ravel(), np.arange(12) + first)


def test_a_scan_over_rematerialised_blocks_computes_what_the_blocks_compute():
    def probabilities(case):
        with jax.numpy_rank_promotion("allow"):
            trace = traced(case.model, case.x)
            split = trace.split(case.layer)
            tokens = trace.attentions().over(split.axes)

            @jax.jit
            def run(params, x):
                env = tokens.run(split, split.bound(params), x)
                return [block.probability.of(env[block.probability.value]) for block in tokens.blocks]

            return run(case.model.params, case.x[:1])

    for got, want in zip(probabilities(scanned_class_token()), probabilities(class_token()), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_a_scan_in_reverse_is_the_same_blocks_the_other_way_round():
    w = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)

    def stacked(reverse):
        def attention(_, q, k, v):
            def block(z, w):
                z = z.reshape(-1, TOKENS, HEADS, DEPTH)
                return z + plain(w, z, z, (z.reshape(-1, TOKENS, 8) @ w).reshape(z.shape)), None

            return jax.lax.scan(block, q, w, reverse=reverse)[0]

        return attention

    def probabilities(reverse):
        m = model(stacked(reverse))
        tokens, env = attentions(m)
        out = jax.jit(m.apply)(m.params, PICTURE)
        np.testing.assert_allclose(env[traced(m, PICTURE).attentions().program.outputs[0]], out, rtol=1e-5, atol=1e-5)
        return [arrays(block, env)["probability"] for block in tokens.blocks]

    ahead, back = probabilities(False), probabilities(True)
    assert len(ahead) == len(back) == 3
    np.testing.assert_allclose(ahead[0], back[0], atol=1e-6)  # the first to run reads the same values
    assert not np.allclose(ahead[1], back[1], atol=1e-4)


@pytest.mark.parametrize("pool", [False, True])
def test_the_residual_stream_is_what_the_next_block_and_the_head_read(pool):
    m = testing.tiny_transformer(pool=pool, registers=1)
    x = np.ones((1, 8, 12, 3), np.float32)
    trace = traced(m, x)
    found = trace.attentions()
    tokens = found.over(trace.split().axes)
    ends = [trace.layers[f"blocks.{n}.mlp"].shape for n in range(2)]
    assert [z.shape for z in tokens.streams] == ends == [(1, 8, 8)] * 2
    made = {v: e for e in found.equations for v in e.outputs}
    assert [made[z].frames[-1].path for z in tokens.streams] == ["blocks.0.mlp", "blocks.1.mlp"]


def in_blocks(join, widen=lambda z: z):
    """Two attentions with residual streams; `join` makes the scores of both streams, the second may be wider."""

    def apply(w, x):
        z = testing.tiny_transformer().apply
        dims = ("NHWC", "HWIO", "NHWC")
        first = jax.lax.conv_general_dilated(x, w["patch"], (4, 4), "VALID", dimension_numbers=dims).reshape(-1, 6, 8)
        with jax.named_scope("first"):
            first = first + z.attention(w["blocks"][0], first)
        with jax.named_scope("second"):
            second = widen(first) + widen(z.attention(w["blocks"][1], jnp.tanh(first)))
        return join(first, second)

    trace = traced(camjax.Model(apply, testing.tiny_transformer().params), np.ones((1, 8, 12, 3), np.float32))
    return trace.attentions().over(trace.layers["first"].axes)


def test_a_head_that_reads_earlier_blocks_has_no_score_of_a_mean_token():
    assert "also reads the tokens of earlier blocks" in in_blocks(lambda a, b: a.mean(1) + b.mean(1)).obstacle()
    assert in_blocks(lambda a, b: b.mean(1)).obstacle() == ""


def test_hidden_states_and_attention_maps_beside_the_scores_hide_no_residual_stream():
    tokens = in_blocks(lambda a, b: {"logits": b.mean(1), "hidden_states": (a, b)})
    assert tokens.obstacle() == ""
    assert len({id(z) for z in tokens.streams}) == 2


def test_a_model_of_tokens_alone_hands_its_last_stream_out():
    assert in_blocks(lambda a, b: b).obstacle() == ""


def test_streams_of_different_widths_have_no_head_in_common():
    tokens = in_blocks(lambda a, b: b.mean(1), widen=lambda z: jnp.concatenate([z, z], -1))
    assert "residual streams have different shapes" in tokens.obstacle()
    assert tokens.obstacle(first=1) == ""
