"""Unmodified convolutional networks: the default layer by name, the map against one made by hand."""

import dataclasses

import pytest
from jax.nn import relu

import camjax
from tests.wild.check import check
from tests.wild.convolutional import CASES, conv, dict_output, scanned, shared_twice, tuple_output, two_inputs


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_default_layer_and_map(make):
    check(make())


def test_an_entry_called_logits_is_found():
    case = dict_output()
    found = camjax.explain(case.model, case.x, size=None)
    assert (found.target == case.model(case.x)["logits"].argmax(-1)).all()


def test_outputs_that_could_be_anything_are_asked_about():
    case = tuple_output()
    with pytest.raises(
        ValueError, match=r"which of the model's outputs are the class scores\? .*target=lambda outputs: "
    ):
        camjax.explain(case.model, case.x, 2)


@pytest.mark.parametrize(
    ("make", "layer", "message"),
    [
        (scanned, "block", r"'block' is ambiguous, it stands for 4 values: 'block\[0\]', 'block\[1\]'"),
        (scanned, "block[7]", r"no layer is called 'block\[7\]'; the closest are 'block\[3\]'"),
        (shared_twice, "shared", r"'shared' is ambiguous, it stands for 2 values: 'shared#0', 'shared#1'"),
        (
            two_inputs,
            "question",
            r"layer 'question' .* does not carry the whole grid.*explain 'image1'",
        ),
    ],
)
def test_layers_that_cannot_be_meant_are_refused(make, layer, message):
    case = make()
    with pytest.raises(ValueError, match=message):
        camjax.explain(case.model, case.x, 1, layer=layer)


@pytest.mark.parametrize(("layer", "index"), [("block[0]", 0), ("block[2]", 2)])
def test_any_iteration_of_a_scan_can_be_explained(layer, index):
    case = scanned()

    def features(w, x):
        x = conv(w["stem"], x, 2)
        for kernel in w["convs"][: index + 1]:
            x = relu(x + conv(kernel, x))
        return x

    def head(w, A, x):
        for kernel in w["convs"][index + 1 :]:
            A = relu(A + conv(kernel, A))
        return case.head(w, A, x)

    check(dataclasses.replace(case, features=features, head=head), layer=layer)
