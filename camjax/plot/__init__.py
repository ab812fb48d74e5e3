"""Pictures out: heat over a picture, panels of them, attributions, and how an explanation shows itself in a notebook.

Needs Pillow and matplotlib (extra `cli`); of matplotlib only its colormaps and its font are used.
"""

from camjax.plot._attribution import magnitude as magnitude
from camjax.plot._attribution import relief as relief
from camjax.plot._failures import failures as failures
from camjax.plot._notebook import notebook_png as notebook_png
from camjax.plot._overlay import colorize as colorize
from camjax.plot._overlay import overlay as overlay
from camjax.plot._panel import panel as panel
from camjax.plot._sheet import png_bytes as png_bytes
