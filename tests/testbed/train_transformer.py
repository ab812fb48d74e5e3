"""Trains the transformer and writes its weights: `python -m tests.testbed.train_transformer` (needs optax).

It takes eight minutes of processor time. The same machine, jax and number of cores give the same weights, bit by bit;
others round differently.

Of the pictures' labels alone, a transformer of this size learns the classes, but not where they are: any token may
hold what any other has seen. So each token is taught what its own patch shows, too, from the scenes' masks ("All
Tokens Matter: Token Labeling", https://arxiv.org/abs/2104.10858), by the head that the pictures are classified with.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from camjax import testbed
from camjax.testbed.train import save
from tests.testbed.transformer import GRID, WEIGHTS, Transformer

SEED, PEAK = 2026, 3e-3
STEPS, BATCH = 1500, 16
TOKENS = 5.0  # the weight of the tokens' loss
_BULK = 512  # scenes drawn at once

bce = optax.sigmoid_binary_cross_entropy


def batches(seed: int) -> Iterator[tuple[Any, Any, Any]]:
    """Pictures, the classes in them, and in each of their patches; no scene comes twice."""
    for start in itertools.count(0, _BULK):
        drawn = testbed.scenes(seed, _BULK, start=start)
        shares = patches(drawn)
        for rows in (slice(i, i + BATCH) for i in range(0, _BULK, BATCH)):
            yield drawn.images[rows], drawn.labels[rows].astype(np.float32), shares[rows]


def patches(drawn: testbed.Scenes) -> np.ndarray:
    """How much of each patch each class covers, `[n, 256, 8]`."""
    n, slots, side, _ = drawn.masks.shape
    pixels = drawn.masks.reshape(n, slots, GRID, side // GRID, GRID, side // GRID)
    shares = pixels.mean((3, 5), dtype=np.float32).reshape(n, slots, GRID * GRID)
    shown = (drawn.classes[:, :, None] == np.arange(len(testbed.CLASSES))).astype(np.float32)
    return np.einsum("nst,nsc->ntc", shares, shown)


@functools.cache
def optimiser() -> optax.GradientTransformation:
    """AdamW with a short warm-up, then a cosine to zero."""
    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, 100, STEPS)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-2))


def loss(trained: Any, images: Any, labels: Any, shares: Any) -> tuple[jax.Array, jax.Array]:
    """Binary cross-entropy of "this class is here", summed over classes: the mean over pictures and over tokens.

    The second result is that of the pictures alone.
    """
    variables, scale, bias = trained
    logits, kept = Transformer().apply(
        variables, testbed.preprocess(images), capture_intermediates=lambda module, _: module.name == "norm"
    )
    tokens = kept["intermediates"]["norm"]["__call__"][0] @ variables["params"]["head"]["kernel"] * scale + bias
    pictures = bce(logits, labels).sum(-1).mean()
    return pictures + TOKENS * bce(tokens, shares).sum(-1).mean(), pictures


@jax.jit
def step(trained: Any, state: Any, *batch: Any) -> tuple[Any, Any, jax.Array]:
    (_, value), gradient = jax.value_and_grad(loss, has_aux=True)(trained, *batch)
    updates, state = optimiser().update(gradient, state, trained)
    return optax.apply_updates(trained, updates), state, value


def train(seed: int = SEED, steps: int = STEPS, log: Any = lambda line: None) -> tuple[Any, list[float]]:
    """The variables, and the pictures' loss of each batch; `steps`: stop after so many batches."""
    variables = Transformer().init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    classes = len(testbed.CLASSES)
    trained = (variables, jnp.ones(classes), jnp.full(classes, -3.0))  # a token's logits need their own scale
    state, began, values = optimiser().init(trained), time.perf_counter(), []
    for number, batch in enumerate(itertools.islice(batches(seed), steps), 1):
        trained, state, value = step(trained, state, *batch)
        values.append(value)
        if number % 100 == 0:
            mean = np.mean(jax.device_get(values[-100:]))
            log(f"batch {number:4d}  loss {mean:.4f}  {time.perf_counter() - began:.0f} s")
    return trained[0], [float(value) for value in values]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.testbed.train_transformer", description=__doc__)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--steps", type=int, default=STEPS, help="stop after so many batches")
    options = parser.parse_args()
    save(train(steps=options.steps, log=functools.partial(print, flush=True))[0], options.out)
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
