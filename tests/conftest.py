"""What holds in all tests: strict promotion for the project's own code, and reproducible random examples."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jax
import pytest

# Compilation makes the first example slow, so no deadline; CI draws the same examples in every run.
hypothesis.settings.register_profile("default", deadline=None, max_examples=20)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=20, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

_HERE = Path(__file__).parent
# Folders whose programs run long enough for LLVM's optimisations to bring more than they cost.
_LONG = {"cli", "parity", "real", "tasks", "testbed", "twins"}
# Folders whose tests run models of other people, who rely on jax's ordinary promotion.
_FOREIGN = {"adapters", "cli", "dataset", "parity", "real", "testbed", "twins"}


def _rooms(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return request.path.relative_to(_HERE).parts if request.path.is_relative_to(_HERE) else ("",)


@pytest.fixture(autouse=True, scope="module")
def quick_compilation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compiles without LLVM's optimisations where that pays; XLA's own, which tests count, stay."""
    everywhere = jax.config.values["jax_disable_most_optimizations"]  # by the environment
    jax.config.update("jax_disable_most_optimizations", everywhere or _rooms(request)[0] not in _LONG)
    yield
    jax.config.update("jax_disable_most_optimizations", everywhere)


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    """Forgets compiled programs before Linux refuses to map more memory (65,530 times), in which LLVM crashes."""
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(autouse=True)
def strict_promotion(request: pytest.FixtureRequest) -> Iterator[None]:
    """No silent change of dtype and no silent broadcasting between ranks in the core."""
    if _rooms(request)[0] in {"", *_FOREIGN}:
        yield
        return
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
