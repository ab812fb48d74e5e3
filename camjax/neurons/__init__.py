"""Neurons and their names: which channels a class leans on, what each of them sees, and that in words.

    alpha_k = 1/Z sum_p dS/dA[k, p]                    how important channel k is, Grad-CAM's eq. 1
    IoU[k, c] = |M_k and L_c| / |M_k or L_c|           how well concept c describes it, Network Dissection

The channels with the highest and the lowest alpha, called by their names, are an explanation in words (section 7 of
the Grad-CAM paper). Names come from you, or from pictures with masks of concepts: `dissect`.

    found = camjax.neurons.dissect(model, pictures, masks, concepts)
    alpha = camjax.neurons.importance(model, picture, "star")
    print(camjax.neurons.describe(alpha[0], found.names, target="star"))
"""

from camjax.neurons._describe import Description as Description
from camjax.neurons._describe import Neuron as Neuron
from camjax.neurons._describe import describe as describe
from camjax.neurons._dissect import dissect as dissect
from camjax.neurons._dissection import Dissection as Dissection
from camjax.neurons._importance import importance as importance
