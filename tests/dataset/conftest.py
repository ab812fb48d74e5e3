"""Small networks and pictures; and a run as a process of its own."""

import dataclasses
import functools
import io
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import camjax

ROOT = Path(__file__).parents[2]
CLASSES = ("red", "green", "blue")
NHWC = ("NHWC", "HWIO", "NHWC")


def _apply(params, x):
    with jax.named_scope("stem"):
        x = jax.nn.relu(jax.lax.conv_general_dilated(x, params["stem"], (2, 2), "SAME", dimension_numbers=NHWC))
    with jax.named_scope("features"):
        x = jnp.tanh(jax.lax.conv_general_dilated(x, params["body"], (1, 1), "SAME", dimension_numbers=NHWC))
    return x.mean((1, 2)) @ params["head"]


@functools.cache
def network(seed=0):
    """A network of 16x16 pictures with three classes, of random weights: it compiles in a moment."""
    rng = np.random.default_rng(seed)
    shapes = {"stem": (3, 3, 3, 4), "body": (3, 3, 4, 6), "head": (6, 3)}
    params = {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    return camjax.Model(_apply, params, CLASSES, camjax.Preprocess((16, 16), None, (0.5,) * 3, (0.25,) * 3))


def pictures(count, seed=0, size=20):
    """Smooth random pictures, uint8."""
    rng = np.random.default_rng(seed)
    small = Image.Resampling.BICUBIC
    coarse = rng.integers(0, 256, (count, 5, 5, 3), np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), small)) for one in coarse])


def encoded(picture, format="JPEG"):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format)
    return file.getvalue()


def folder_of(path, count, seed=0, size=20):
    """A folder of JPEGs, 0000.jpg and so on."""
    path.mkdir()
    for number, picture in enumerate(pictures(count, seed, size)):
        (path / f"{number:04}.jpg").write_bytes(encoded(picture))
    return path


@pytest.fixture(scope="session")
def model():
    return network()


@dataclasses.dataclass
class Process:
    """A run in a process of its own."""

    popen: subprocess.Popen

    def end(self):
        out, err = self.popen.communicate()
        return self.popen.returncode, out, err


@pytest.fixture
def spawn():
    """Starts Python code in a process, which ends with the test at the latest."""
    started = []

    def start(code, *arguments, **environment):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **environment}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)
        started.append(popen)
        return Process(popen)

    yield start
    for popen in started:
        if popen.poll() is None:
            popen.kill()
        popen.communicate()


def content(store):
    """Every file of a store with its bytes."""
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*")) if p.is_file()}
