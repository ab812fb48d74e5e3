"""Oracles: each method as its paper writes it, in float64 NumPy, slow and literal."""

from camjax.testing.oracles import cameras as cameras
from camjax.testing.oracles import combined as combined
from camjax.testing.oracles import factors as factors
from camjax.testing.oracles import fullgrad as fullgrad
from camjax.testing.oracles import lift as lift
from camjax.testing.oracles import neurons as neurons
from camjax.testing.oracles import perturbation as perturbation
from camjax.testing.oracles import saliency as saliency
from camjax.testing.oracles import sampled as sampled
from camjax.testing.oracles import spectral as spectral
from camjax.testing.oracles import tokens as tokens
from camjax.testing.oracles import weights as weights
from camjax.testing.oracles.gradient import grad_cam as grad_cam
from camjax.testing.oracles.gradient import gradient as gradient
from camjax.testing.oracles.gradient import hirescam as hirescam
from camjax.testing.oracles.gradient import layercam as layercam
