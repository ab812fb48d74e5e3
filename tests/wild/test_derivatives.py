"""Custom derivatives stay in force after the layer; layers inside of them and beside a skip can be named."""

import dataclasses

import pytest
from jax.nn import relu

import camjax
from tests.wild.check import check
from tests.wild.convolutional import conv
from tests.wild.derivatives import CASES, bypassed, custom_vjp_block


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_default_layer_and_map(make):
    check(make())


def test_a_layer_that_a_skip_connection_bypasses():
    case = bypassed()
    assert camjax.layers(case.model, case.x).default.name == "block"
    check(case, layer="block.conv0")


def test_a_layer_inside_a_custom_derivative_says_so():
    case = custom_vjp_block()
    inner = camjax.layers(case.model, case.x)["block.conv0"]
    assert "custom" in inner.note
    inside = dataclasses.replace(
        case,
        features=lambda w, x: relu(conv(w["convs"][0], relu(conv(w["stem"], x)))),
        head=lambda w, A, x: case.head(w, relu(conv(w["convs"][1], A)), x),
    )
    check(inside, layer="block.conv0")
