import ast
import subprocess
import sys
from pathlib import Path

import pytest

import camjax


def typed_names() -> dict[str, str | None]:
    """Name -> module, as the `if TYPE_CHECKING` block of camjax/__init__.py states it."""
    return {
        alias.asname or alias.name: node.module
        for block in ast.parse(Path(camjax.__file__).read_text()).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_and_the_interpreter_see_the_same_names():
    assert typed_names() == camjax._HOME


@pytest.mark.parametrize("name", sorted(camjax._HOME))
def test_each_name_can_be_had_and_is_listed(name):
    assert name in dir(camjax)
    assert getattr(camjax, name).__name__.removeprefix("camjax.") == name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'camjax' has no attribute 'grad_camm'"):
        camjax.grad_camm  # noqa: B018 - looking it up is the test


def test_importing_camjax_is_free_and_using_it_needs_no_extra():
    code = (
        "import sys, camjax; assert 'jax' not in sys.modules;"
        "[getattr(camjax, name) for name in dir(camjax)];"
        "extras = 'flax torch typer rich PIL matplotlib optax jaxtyping grain zarr tensorstore'.split();"
        "print([name for name in extras if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
