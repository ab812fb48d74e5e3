"""camjax: class-activation maps for any JAX function."""

from camjax._model import Model as Model, Preprocess as Preprocess

__version__ = "0.1.0"
