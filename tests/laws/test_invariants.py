"""The laws of every method: how it is run does not change what it says."""

import jax
import pytest
from hypothesis import given, settings

import camjax
from camjax import testing
from camjax.testing import strategies
from tests.laws.tried import quickly, setting


@pytest.fixture(autouse=True)
def float64():
    with quickly():
        yield


# One method for each way in which the pipe runs a method: with the gradient alone, with random numbers, evaluating the
# head, evaluating the model through masks, reading the biases or the attention of the whole trace.
WAYS = ["gradcam", "smoothgradcam++", "reciprocam", "groupcam", "fullgrad", "attentionrollout"]


@pytest.mark.parametrize("name", WAYS)
def test_batches_chunks_jit_and_vmap_leave_the_map(name):
    arguments, options = setting(name, "transformer" if name == "attentionrollout" else "pooled alone", batch=2)
    for law in testing.INVARIANTS:
        law(*arguments, **options)


@settings(max_examples=3)
@given(model=strategies.models(["pooled"]), x=strategies.pictures(), target=strategies.targets())
def test_any_target_of_any_picture_is_explained_or_flagged(model, x, target):
    got = camjax.explain(model, x, target, strict=False)
    shape = got.score.shape
    assert got.heatmap.shape == (*shape, 4, 4)
    assert all(jax.numpy.isfinite(leaf).all() for leaf in (got.heatmap, got.raw, got.score))


@settings(max_examples=5)
@given(model=strategies.models())
def test_models_of_one_kind_share_their_trace(model):
    x = jax.ShapeDtypeStruct((1, 4, 4, 3), float)
    again = testing.tiny_network("transformer" if "patch" in model.params else model.apply.kind, 1)
    assert camjax.split(model, x) == camjax.split(again, x)


def test_strategies_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match=r"kinds: got 'deep', expected names out of 'pooled', 'plain', 'dense'"):
        strategies.models(["deep"])
    with pytest.raises(ValueError, match=r"kind: got 'deep', expected one of 'pooled', 'plain', 'dense'"):
        testing.tiny_network("deep")
