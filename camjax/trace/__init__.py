"""The room that knows jaxprs: from a JAX function to named layers, their axes, and a split at any of them."""

from camjax.trace._table import BESIDE as BESIDE
from camjax.trace._table import Layer as Layer
from camjax.trace._table import Layers as Layers
from camjax.trace._traced import Traced as Traced
from camjax.trace._tracing import specs_of as specs_of
from camjax.trace._tracing import traced as traced
