"""Random arguments for every operation of the table, by kind."""

from tests.adapters.torch.cases import convolution, elementwise, linalg, normalisation, resize, shape

CASES = {
    **convolution.CASES,
    **elementwise.CASES,
    **linalg.CASES,
    **normalisation.CASES,
    **resize.CASES,
    **shape.CASES,
}

UNINITIALISED = {"empty.memory_format", "empty_like.default", "new_empty.default"}
"""Operations whose values torch leaves open; only shape and dtype can be compared."""
