"""Small networks for every task: one pair of eyes on the testbed's frozen trunk, and a head for each.

The eyes keep the trunk's 16x16 grid; what a head reads of it, it reads through averages or attention. Each network is
`apply(params, x)` with the batch first; `x` is a dict where a task has more inputs than the picture.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import camjax
from camjax import testbed
from camjax.testbed import _network

WEIGHTS = Path(__file__).with_name("weights.npz")
GRID, CELL = 16, 4  # cells a side, and pixels of a cell
SHAPES, COLOURS = testbed.CLASSES, tuple(testbed.COLOURS)

# A caption: "red star left-of blue heart", the left object first.
WORDS = (*SHAPES, *COLOURS, "left-of", "<start>")
LENGTH = 5
# A question: "what shape left", "what colour star", "is there star"; an answer is one word.
ASKED = ("what", "is", "shape", "colour", "there", "left", "right", *SHAPES)
ANSWERS = (*SHAPES, *COLOURS, "yes", "no")


def initial(key: Any) -> dict[str, Any]:
    """Weights to start from, without the trunk's."""
    keys = iter(jax.random.split(key, 64))

    def dense(c: int, d: int) -> dict[str, Any]:
        return {"kernel": c**-0.5 * jax.random.normal(next(keys), (c, d)), "bias": jnp.zeros(d)}

    def table(*shape: int) -> Any:
        return 0.3 * jax.random.normal(next(keys), shape)

    def attention(steps: int, words: int, out: int) -> dict[str, Any]:
        return {
            "words": table(steps, words, 32),
            "step": table(steps, 32),
            "query": dense(32, 64),
            "place": dense(EYES + 2, 64),
            "match": dense(64, 1),
            "read": dense(EYES + 64, 96),
            "say": dense(96, out),
        }

    return {
        "eyes": dense(67, EYES),
        "caption": attention(LENGTH, len(WORDS), len(WORDS) - 1),
        "question": attention(3, len(ASKED), len(ANSWERS)),
        "segment": dense(EYES, len(SHAPES) + 1),
        "boxes": dense(EYES, 4),
        "classes": dense(EYES, len(SHAPES)),
        "area": dense(EYES, len(SHAPES)),
        "star": dense(EYES, 1),
        "image": {"cell": dense(EYES, 96), "out": dense(96, 32)},
        "text": {"colour": table(8, 32), "shape": table(8, 32), "hidden": dense(64, 64), "out": dense(64, 32)},
        "scale": jnp.array(2.0),
    }


EYES = 96


def trunk(params: dict[str, Any], x: Any) -> Any:
    """The testbed's last maps, and the picture's mean colour in each cell: `[B, 16, 16, 67]`."""
    colours = x.reshape(x.shape[0], GRID, CELL, GRID, CELL, 3).mean((2, 4))
    x = jax.nn.relu(convolution(params["stem"], x, 2))
    for number, (_, stride, blocks) in enumerate(_network.STAGES, 1):
        for block in range(blocks):
            entry = params[f"stage{number}"][f"block{block}"]
            x = _network._block(entry, x, stride if block == 0 else 1, convolution)
    return jnp.concatenate([x, colours], -1)


def convolution(params: dict[str, Any], x: Any, stride: int) -> Any:
    """The testbed's, with a bias of as many axes as its maps have."""
    return _network.convolution(params | {"bias": 0.0}, x, stride) + params["bias"][None, None, None]


def eyes(params: dict[str, Any], seen: Any) -> Any:
    """What all heads look at: `[B, 16, 16, 96]`."""
    with jax.named_scope("eyes"):
        return jax.nn.relu(dense(params["eyes"], seen))


def dense(params: dict[str, Any], x: Any) -> Any:
    y = x @ params["kernel"]
    return y + jnp.expand_dims(params["bias"], range(y.ndim - 1))


def attend(params: dict[str, Any], maps: Any, query: Any) -> Any:
    """Additive attention: for each of T queries `[B, T, 32]`, what it reads from the maps, in words `[B, T, n]`."""
    at = (jnp.arange(GRID, dtype=jnp.float32) - 7.5) / 7.5
    places = jnp.stack(jnp.broadcast_arrays(at[:, None], at[None]), -1)
    places = jnp.broadcast_to(places[None], (*maps.shape[:3], 2))
    place = dense(params["place"], jnp.concatenate([maps, places], -1)).reshape(maps.shape[0], 1, GRID**2, 64)
    asked = jax.nn.relu(dense(params["query"], query))
    match = dense(params["match"], jax.nn.relu(place + asked[:, :, None]))[..., 0]
    read = jax.nn.softmax(match) @ maps.reshape(maps.shape[0], GRID**2, EYES)
    return dense(params["say"], jax.nn.relu(dense(params["read"], jnp.concatenate([read, asked], -1))))


def caption(params: dict[str, Any], maps: Any, words: Any) -> Any:
    """Scores of each next word, `[B, T, words]`, for the words so far: `<start>` and the caption but its last."""
    embedded = params["caption"]["words"][jnp.arange(words.shape[1])[None], words]
    query = jnp.cumsum(embedded, 1) + params["caption"]["step"][None]
    return attend(params["caption"], maps, query)


def answer(params: dict[str, Any], maps: Any, words: Any) -> Any:
    """Scores of the answers, `[B, answers]`."""
    return answers(params, maps, words[:, None])[:, 0]


def answers(params: dict[str, Any], maps: Any, words: Any) -> Any:
    """The same for several questions of each picture, `[B, Q, 3]` words."""
    query = params["question"]["words"][jnp.arange(3)[None, None], words].sum(2)
    return attend(params["question"], maps, query)


def segment(params: dict[str, Any], maps: Any) -> Any:
    """Scores of the shapes and the background for each cell, `[B, 16, 16, 9]`."""
    return dense(params["segment"], maps)


def detect(params: dict[str, Any], maps: Any) -> dict[str, Any]:
    """One box for each cell, in pixels (left, top, right, bottom), and its class scores."""
    reach = 16 * jax.nn.softplus(dense(params["boxes"], maps)).reshape(maps.shape[0], GRID**2, 4)
    middle = (jnp.arange(GRID, dtype=jnp.float32) + 0.5) * CELL
    y, x = (part.reshape(1, -1, 1) for part in jnp.broadcast_arrays(middle[:, None], middle[None]))
    boxes = jnp.concatenate([x - reach[..., :1], y - reach[..., 1:2], x + reach[..., 2:3], y + reach[..., 3:]], -1)
    return {"boxes": boxes, "logits": dense(params["classes"], maps).reshape(maps.shape[0], GRID**2, -1)}


def area(params: dict[str, Any], maps: Any) -> Any:
    """How much of the picture each shape covers, in percent: `[B, 8]`."""
    return dense(params["area"], maps.mean((1, 2)))


def star(params: dict[str, Any], maps: Any) -> Any:
    """One score: whether there is a star, `[B, 1]`."""
    return dense(params["star"], maps.mean((1, 2)))


def picture(params: dict[str, Any], maps: Any) -> Any:
    """The picture's embedding, `[B, 32]`."""
    cells = jax.nn.relu(dense(params["image"]["cell"], maps))
    return dense(params["image"]["out"], cells.mean((1, 2)))


def text(params: dict[str, Any], words: Any) -> Any:
    """The embedding of texts (colour, shape), `[B, 2]` -> `[B, 32]`."""
    params = params["text"]
    pair = jnp.concatenate([params["colour"][words[:, 0]], params["shape"][words[:, 1]]], -1)
    return dense(params["out"], jax.nn.relu(dense(params["hidden"], pair)))


def similar(params: dict[str, Any], maps: Any, words: Any) -> dict[str, Any]:
    """Two towers: the embeddings of the picture and of its text, and the factor on their cosine."""
    scale = jnp.broadcast_to(jnp.exp(params["scale"])[None], (maps.shape[0],))
    return {"image_embeds": picture(params, maps), "text_embeds": text(params, words), "logit_scale": scale}


HEADS = {
    "caption": caption,
    "answer": answer,
    "segment": segment,
    "detect": detect,
    "area": area,
    "star": star,
    "picture": picture,
    "similar": similar,
}


def apply(task: str, params: dict[str, Any], x: Any) -> Any:
    """A network's outputs: `x` is pictures, or a dict of pictures and words."""
    words = (x["words"],) if isinstance(x, dict) else ()
    maps = eyes(params, trunk(params["trunk"], x["image"] if isinstance(x, dict) else x))
    with jax.named_scope(task):
        return HEADS[task](params, maps, *words)


@functools.cache
def load() -> dict[str, Any]:
    """The trained weights, with the trunk's."""
    params: dict[str, Any] = {"trunk": testbed.model().params}
    with np.load(WEIGHTS) as stored:
        for path in stored.files:
            *parents, leaf = path.split("/")
            entry = params
            for name in parents:
                entry = entry.setdefault(name, {})
            entry[leaf] = jax.device_put(stored[path].astype(np.float32))
    return params


@functools.cache
def model(task: str) -> camjax.Model:
    """A task's network as a model."""
    labels = {"answer": ANSWERS, "segment": (*SHAPES, "background"), "detect": SHAPES, "area": SHAPES}.get(task)
    return camjax.Model(functools.partial(apply, task), load(), labels=labels)
