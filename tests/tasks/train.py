"""Trains the networks of all tasks at once and writes their weights: `python -m tests.tasks.train` (needs optax).

The trunk is frozen, so that its maps are computed once. It takes eight minutes of processor time.
The same machine, jax and number of cores give the same weights, bit by bit; another number of cores rounds differently.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax import testbed
from camjax.testbed.train import save
from tests.tasks import networks as net
from tests.tasks.truth import Truth, truth

SEED, SCENES, STEPS, BATCH, PEAK = 11, 5000, 1600, 48, 4e-3
TEXTS = np.stack(np.meshgrid(np.arange(8), np.arange(8), indexing="ij"), -1).reshape(64, 2)  # (colour, shape)


def seen(images: np.ndarray) -> np.ndarray:
    """The frozen trunk's maps, in half precision: a seventh of a gigabyte for all scenes."""
    params = testbed.model().params
    run = jax.jit(lambda x: net.trunk(params, testbed.preprocess(x)).astype(jnp.float16))
    return np.concatenate([np.asarray(run(images[i : i + 100])) for i in range(0, len(images), 100)])


def prefix(captions: Any) -> Any:
    """The words that each word follows."""
    start = jnp.full((captions.shape[0], 1), net.WORDS.index("<start>"), captions.dtype)
    return jnp.concatenate([start, captions[:, :-1]], 1)


def losses(params: Any, maps: Any, true: dict[str, Any]) -> dict[str, Any]:
    """One loss for each head."""
    import optax

    entropy = optax.softmax_cross_entropy_with_integer_labels
    binary = optax.sigmoid_binary_cross_entropy
    maps = net.eyes(params, maps.astype(jnp.float32))
    there = (true["classes"][:, :, None] == jnp.arange(8)[None, None]).any(1)
    cells = true["cells"].reshape(len(maps), -1)
    found = net.detect(params, maps)
    owner = (cells == true["classes"][:, 1:]).astype(jnp.int32)
    off = jnp.abs(found["boxes"] - jnp.take_along_axis(true["boxes"], owner[..., None], 1)).sum(-1)
    inside = (cells < 8).astype(jnp.float32)
    image, words = net.picture(params, maps), net.text(params, jnp.asarray(TEXTS))
    image, words = (e / jnp.linalg.norm(e, axis=-1, keepdims=True) for e in (image, words))
    match = jax.nn.log_softmax(jnp.exp(params["scale"]) * image @ words.T)
    texts = 8 * true["colours"] + true["classes"]
    return {
        "caption": 3 * entropy(net.caption(params, maps, prefix(true["captions"])), true["captions"]).mean(),
        "answer": 3 * entropy(net.answers(params, maps, true["questions"]), true["answers"]).mean(),
        "segment": entropy(net.segment(params, maps), true["cells"]).mean(),
        "classes": binary(found["logits"], jax.nn.one_hot(cells, 8)).sum(-1).mean(),
        "boxes": (off * inside).sum() / inside.sum() / 16,
        "area": 0.1 * jnp.square(net.area(params, maps) - true["area"]).mean(),
        "star": binary(net.star(params, maps)[:, 0], there[:, net.SHAPES.index("star")].astype(jnp.float32)).mean(),
        "text": -jnp.take_along_axis(match, texts, 1).mean(),
    }


def train(steps: int = STEPS, count: int = SCENES, log: Any = lambda line: None) -> dict[str, Any]:
    """Weights of all heads, without the trunk's."""
    import optax

    true = truth(SEED, count)
    maps = seen(true.images)
    log(f"{len(maps)} scenes")
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, 100, STEPS)
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-3))

    @jax.jit
    def step(params: Any, state: Any, maps: Any, true: Any) -> Any:
        def total(params: Any) -> Any:
            parts = losses(params, maps, true)
            return sum(parts.values()), parts

        gradient, parts = jax.grad(total, has_aux=True)(params)
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, parts

    params = net.initial(jax.random.key(SEED))
    state, random, began = tx.init(params), np.random.default_rng(SEED), time.perf_counter()
    for number in range(1, steps + 1):
        rows = random.integers(len(maps), size=BATCH)
        params, state, parts = step(params, state, maps[rows], batch(true, rows))
        if number % 100 == 0:
            words = "  ".join(f"{name} {float(value):.3f}" for name, value in parts.items())
            log(f"{number:5d}  {words}  {time.perf_counter() - began:.0f} s")
    return params


def batch(true: Truth, rows: np.ndarray) -> dict[str, Any]:
    """What is true about some scenes."""
    names = ("classes", "colours", "captions", "questions", "answers", "cells", "boxes")
    kept = {name: getattr(true, name)[rows] for name in names}
    cover = 100 * true.masks[rows].mean((2, 3))
    area = (cover[:, :, None] * (kept["classes"][:, :, None] == np.arange(8))).sum(1).astype(np.float32)
    return {name: v.astype(np.int32) if v.dtype == np.int64 else v for name, v in (kept | {"area": area}).items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.tasks.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=net.WEIGHTS)
    parser.add_argument("--steps", type=int, default=STEPS, help="stop after so many batches")
    parser.add_argument("--scenes", type=int, default=SCENES)
    options = parser.parse_args()
    save(train(options.steps, options.scenes, log=lambda line: print(line, flush=True)), options.out)
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
