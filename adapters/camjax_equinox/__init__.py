"""camjax for Equinox: a module becomes a `camjax.Model`, unchanged."""

from camjax_equinox._module import from_equinox as from_equinox
