"""Trains the testbed's network and writes its weights: `python -m camjax.testbed.train` (needs optax).

It takes under five minutes of processor time, on one core or several. The same machine and jax give the
same weights, bit by bit; others round differently, and a training amplifies that.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax.testbed import _network
from camjax.testbed._scenes import Scenes, scenes
from camjax.testbed._shapes import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import optax
    from jaxtyping import Array, Bool, Float, PRNGKeyArray, UInt8

SEED = 2026
CLOSE_UPS, CLOSE_BATCH = 2100, 32  # batches of close-ups, and pictures in each
SCENES, SCENE_BATCH = 1000, 16  # then batches of whole scenes
PEAK = 5e-3  # learning rate
_BULK = 512  # scenes drawn at once
_REPORT = 100  # batches between two lines of the log
_FOLD = 1024  # scenes whose statistics replace the normalisations'
_EPSILON = 1e-5


def initial(key: PRNGKeyArray) -> dict[str, Any]:
    """Weights to start from: He-normal kernels, each followed by a normalisation's scale and bias.

    The last scale of each block is zero, so that a block starts as the identity.
    """
    keys = iter(jax.random.split(key, 64))

    def conv(size: int, c: int, d: int, scale: float = 1.0) -> dict[str, Any]:
        kernel = (2 / (size * size * c)) ** 0.5 * jax.random.normal(next(keys), (size, size, c, d))
        return {"kernel": kernel, "scale": jnp.full(d, scale), "bias": jnp.zeros(d)}

    params: dict[str, Any] = {"stem": conv(3, 3, _network.STEM)}
    channels = _network.STEM
    for number, (width, stride, blocks) in enumerate(_network.STAGES, 1):
        stage = params[f"stage{number}"] = {}
        for block in range(blocks):
            entry = {"conv1": conv(3, channels, width), "conv2": conv(3, width, width, 0.0)}
            stage[f"block{block}"] = entry
            if block == 0 and (stride, channels) != (1, width):
                entry["shortcut"] = conv(1, channels, width)
            channels = width
    kernel = channels**-0.5 * jax.random.normal(next(keys), (channels, len(CLASSES)))
    params["head"] = {"kernel": kernel, "bias": jnp.full(len(CLASSES), -1.0)}
    return params


def normalised(params: dict[str, Any], x: Float[Array, "b h w c"], stride: int) -> Float[Array, "b u v d"]:
    """A convolution whose output is normalised over the batch, https://arxiv.org/abs/1502.03167."""
    y = _network.convolution(params | {"bias": 0.0}, x, stride)
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    return (y - mean) * jax.lax.rsqrt(variance + _EPSILON) * params["scale"] + params["bias"]


def fold(params: dict[str, Any], x: Float[Array, "b h w 3"]) -> dict[str, Any]:
    """Trained weights as plain kernels and biases: the normalisations keep their values for the batch `x`."""
    folded: dict[int, dict[str, Any]] = {}

    def conv(entry, x, stride):
        y = _network.convolution(entry | {"bias": 0.0}, x, stride)
        factor = entry["scale"] * jax.lax.rsqrt(y.var((0, 1, 2)) + _EPSILON)
        plain = {"kernel": entry["kernel"] * factor, "bias": entry["bias"] - y.mean((0, 1, 2)) * factor}
        folded[id(entry)] = plain
        return _network.convolution(plain, x, stride)

    _network.apply(params, x, conv=conv)
    return jax.tree.map(lambda entry: folded.get(id(entry), entry), params, is_leaf=lambda entry: "kernel" in entry)


def close_ups(drawn: Scenes, seed: int) -> tuple[UInt8[np.ndarray, "m s s 3"], Bool[np.ndarray, "m c"]]:
    """A window of half the picture's side around every object, in random order, and the classes in it.

    An object counts as being in a window that holds more than half of its pixels.
    """
    random = np.random.default_rng(seed)
    scene, slot = np.nonzero(drawn.classes >= 0)
    side = drawn.images.shape[1]
    centre = drawn.centres[scene, slot] + random.uniform(-side / 16, side / 16, (len(scene), 2))
    row, column = np.clip(np.rint(centre).astype(int) - side // 4, 0, side // 2).T

    def window(maps: np.ndarray) -> np.ndarray:  # maps: [n, h, w, anything]
        views = np.lib.stride_tricks.sliding_window_view(maps, (side // 2, side // 2), axis=(1, 2))
        return np.moveaxis(views[scene, row, column], 1, -1)

    inside = window(np.moveaxis(drawn.masks, 1, -1)).sum((1, 2)) > 0.5 * drawn.masks.sum((2, 3))[scene]
    shown = np.where(inside, drawn.classes[scene], -1)
    labels = (shown[:, :, None] == np.arange(len(CLASSES))).any(1)
    order = random.permutation(len(scene))
    return window(drawn.images)[order], labels[order]


def batches(seed: int) -> Iterator[tuple[UInt8[np.ndarray, "b h w 3"], Bool[np.ndarray, "b c"]]]:
    """The training set, batch by batch; no scene comes twice, so there is nothing to overfit.

    First close-ups: there an object fills much of the picture, and its shape is learned quickly. Then whole
    scenes of one to four objects, in which the network learns to leave the background alone.
    """
    bulks = (scenes(seed, _BULK, start=start) for start in itertools.count(0, _BULK))
    close = (batch for i, drawn in enumerate(bulks) for batch in _cut(*close_ups(drawn, i), CLOSE_BATCH))
    yield from itertools.islice(close, CLOSE_UPS)
    whole = (batch for drawn in bulks for batch in _cut(drawn.images, drawn.labels, SCENE_BATCH))
    yield from itertools.islice(whole, SCENES)


def _cut(images: np.ndarray, labels: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i in range(0, len(images) - size + 1, size):
        yield images[i : i + size], labels[i : i + size]


def optimiser() -> optax.GradientTransformation:
    """AdamW with a short warm-up, then a cosine to zero."""
    import optax

    rate = optax.warmup_cosine_decay_schedule(0.0, PEAK, 100, CLOSE_UPS + SCENES)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-3))


def loss(params: Any, images: UInt8[Array, "b h w 3"], labels: Bool[Array, "b c"]) -> Float[Array, ""]:
    """Binary cross-entropy of "this class is in the picture": the mean over pictures, summed over classes."""
    import optax

    logits = _network.apply(params, _network.preprocess(images), conv=normalised)
    return optax.sigmoid_binary_cross_entropy(logits, labels.astype(jnp.float32)).sum(-1).mean()


def train(seed: int = SEED, steps: int | None = None, log: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Train from `seed`: the same weights on every run of the same machine and jax.

    Args:
        seed: of the initial weights and of the scenes.
        steps: stop after so many batches; None trains to the end.
        log: called with a line of text now and then, for example `print`.

    Returns:
        Plain weights for `apply`, in float32.
    """
    import optax

    tx = optimiser()

    @jax.jit
    def step(params, state, images, labels):
        value, gradient = jax.value_and_grad(loss)(params, images, labels)
        updates, state = tx.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    params = initial(jax.random.key(seed))
    state, began, values = tx.init(params), time.perf_counter(), []
    for number, (images, labels) in enumerate(itertools.islice(batches(seed), steps), 1):
        params, state, value = step(params, state, images, labels)
        values.append(float(value))
        if number % _REPORT == 0:
            seconds = time.perf_counter() - began
            log(f"batch {number:4d}  loss {np.mean(values[-_REPORT:]):.4f}  {seconds:.0f} s")
    held = scenes(seed + 1, _FOLD)
    return fold(params, _network.preprocess(held.images))


def save(params: Any, file: Path) -> None:
    """Write weights as one .npz in half precision, which is all that a forward pass needs."""
    flat = {
        "/".join(str(key.key) for key in path): np.asarray(leaf, np.float16)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    np.savez_compressed(file, allow_pickle=False, **flat)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m camjax.testbed.train", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name(_network.WEIGHTS))
    parser.add_argument("--steps", type=int, help="stop after so many batches")
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("optax") is None:
        parser.error("the training needs optax, which is not installed; pip install optax.")
    save(train(options.seed, options.steps, log=functools.partial(print, flush=True)), options.out)
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
