"""camjax for Haiku: a transformed function becomes a `camjax.Model`, unchanged."""

from camjax_haiku._transformed import from_haiku as from_haiku
