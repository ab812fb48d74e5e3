"""The table of layers, and what it says to names that cannot be meant."""

import pytest

from camjax import Axes
from camjax.trace import Layer, Layers

AXES = Axes.of((1, 7, 7, 512))
TABLE = Layers(
    [
        Layer("stem", ("conv",), (1, 14, 14, 64)),
        Layer("block#0", (), (1, 7, 7, 512), AXES),
        Layer("block#1", ("layer4",), (1, 7, 7, 512), AXES, default=True, note="inside a custom derivative"),
        Layer("two:0", (), (1, 3)),
        Layer("two:1", (), (1, 3)),
        Layer("scan[0]", (), (1, 3)),
        Layer("scan[1]", (), (1, 3)),
        Layer("drop", note="computes nothing: it hands its input on"),
    ],
    {"net.body": "a while loop"},
)


def test_the_table_marks_the_default_and_says_shapes_axes_and_aliases():
    lines = repr(TABLE).splitlines()
    assert lines[0].split() == ["layer", "shape", "axes", "note"]
    assert lines[1] == "   stem     1x14x14x64                           also conv"
    assert lines[3].startswith(
        "*  block#1  1x7x7x512   7x7 space, 512 channels  inside a custom derivative; also layer4"
    )
    assert lines[8].split(maxsplit=1) == ["drop", "computes nothing: it hands its input on"]


def test_layers_are_a_sequence_and_a_mapping_by_any_name():
    assert (len(TABLE), TABLE[0].name, TABLE[-1].name, len(TABLE[1:3])) == (8, "stem", "drop", 2)
    assert TABLE["conv"] is TABLE["stem"]
    assert TABLE.default is TABLE["layer4"]
    assert TABLE[:1].default is None


def test_slashes_are_dots():
    assert Layers([Layer("net.block", shape=(1,))])["net/block"].name == "net.block"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stam", r"no layer is called 'stam'; the closest are 'stem', .*The default is 'block#1'\..*lists them all"),
        ("block", r"'block' is ambiguous, it stands for 2 values: 'block#0', 'block#1'\. Name one"),
        ("two", r"'two' is ambiguous, it stands for 2 values: 'two:0', 'two:1'\."),
        ("scan", r"'scan' is ambiguous, it stands for 2 values: 'scan\[0\]', 'scan\[1\]'\."),
        (
            "drop",
            r"'drop' computes nothing: it hands its input on; name the layer before it\. The default is 'block#1'",
        ),
        (
            "net.body",
            r"'net.body' is inside a while loop, which is not opened, .*jax.lax.scan.* The default is 'block#1'",
        ),
        ("net/body#1", r"'net/body#1' is inside a while loop"),
    ],
)
def test_a_name_that_cannot_be_meant_is_an_error_that_helps(name, message):
    with pytest.raises(ValueError, match=r"^layer: " + message):
        TABLE[name]


def test_an_ambiguous_name_with_many_values_lists_the_first():
    many = Layers([Layer(f"block#{i}", shape=(1,)) for i in range(12)])
    with pytest.raises(ValueError, match=r"12 values: .*'block#7' and 4 more"):
        many["block"]
