"""camjax for Keras 3 on its JAX backend: a model becomes a `camjax.Model`, unchanged."""

from camjax_keras._model import from_keras as from_keras
from camjax_keras._model import load as load
