"""The testbed: a small trained network, its pictures and their true masks."""

from camjax.testbed._concepts import concepts as concepts
from camjax.testbed._layout import COLOURS as COLOURS
from camjax.testbed._network import apply as apply
from camjax.testbed._network import model as model
from camjax.testbed._network import preprocess as preprocess
from camjax.testbed._picture import example as example
from camjax.testbed._picture import picture as picture
from camjax.testbed._scenes import TEXTURES as TEXTURES
from camjax.testbed._scenes import Scenes as Scenes
from camjax.testbed._scenes import scenes as scenes
from camjax.testbed._shapes import CLASSES as CLASSES
