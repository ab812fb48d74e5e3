"""The gradient of the score, and the two that change it at every ReLU."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from camjax.methods._contract import About
from camjax.saliency._contract import Saliency


@dataclasses.dataclass(frozen=True)
class Gradient(Saliency):
    """The gradient of the score with respect to the input ("vanilla gradient", "saliency map").

        values = dS/dx        (Simonyan et al., eq. 4, before the maximum over colours of its absolute value)

    Shapes: as the input. Cost: one forward pass, and one backward pass per target.

    The plainest answer to "which pixels, changed a little, change the score?". It is exact and noisy; `SmoothGrad`
    is its average over a neighbourhood. Where the score saturates it is nearly zero, however important the pixel
    was for getting there: `IntegratedGradients` sees that.

    Simonyan, Vedaldi, Zisserman, ICLR workshop 2014 (arXiv:1312.6034).

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: jnp.square(x) @ w, jnp.array([[1.0], [-1.0]]))
    >>> camjax.attribute(model, jnp.array([[3.0, 2.0]]), 0).values
    Array([[ 6., -4.]], dtype=float32)
    """

    about: ClassVar[About] = About(
        "Simonyan et al., ICLR workshop 2014 (arXiv:1312.6034)",
        "1 forward pass, 1 backward pass per target",
        "the exact local answer; noisy on deep networks",
    )


@dataclasses.dataclass(frozen=True)
class GuidedBackprop(Saliency):
    """Guided Backpropagation: the gradient with only its positive parts passed back through each ReLU.

        R = 1[z > 0] 1[R' > 0] R'        (Springenberg et al., figure 1c; R' comes from above, z is the ReLU's input)

    A ReLU6 passes where its own derivative does, `1[0 < z < 6] 1[R' > 0] R'`. The model is not edited: its ReLUs are
    found in whatever way they are written, inside nested calls and loops too. Other nonlinearities keep their own
    derivative, and so does a ReLU that is but a part of one (of softplus, CELU, hard-swish, a hard sigmoid).

    Shapes: as the input. Cost: one forward pass, and one backward pass per target.
    Raises ValueError for a model without any ReLU, with the names of the nonlinearities that it has instead.

    It gives the sharpest pictures of edges, and it is the factor of Guided Grad-CAM (`camjax.guided_gradcam`). By
    itself it hardly depends on the target: it shows what the network sees, rather than why it decides.

    Springenberg, Dosovitskiy, Brox, Riedmiller, ICLR workshop 2015 (arXiv:1412.6806).

    >>> import camjax, jax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: jax.nn.relu(x) @ w, jnp.array([[1.0], [-1.0], [2.0]]))
    >>> x = jnp.array([[3.0, 2.0, -1.0]])
    >>> camjax.attribute(model, x, 0, method=camjax.saliency.GuidedBackprop()).values
    Array([[1., 0., 0.]], dtype=float32)
    """

    rule: ClassVar[str | None] = "guided"
    about: ClassVar[About] = About(
        "Springenberg et al., ICLR workshop 2015 (arXiv:1412.6806)",
        "1 forward pass, 1 backward pass per target",
        "sharp edges for networks of ReLUs; a factor of Guided Grad-CAM, hardly class-discriminative by itself",
    )


@dataclasses.dataclass(frozen=True)
class DeconvNet(Saliency):
    """DeconvNet: a ReLU of what is passed back, in the place of each ReLU's own derivative.

        R = 1[R' > 0] R'        (Zeiler & Fergus, section 2.1; Springenberg et al., figure 1c)

    The same for a ReLU6: neither of its ends looks at the forward pass, and what is passed back has no scale to
    which a cap of 6 would apply. All else is passed back by its derivative, as in the reference implementations;
    max-pooling, that is, by its switches.

    Shapes: as the input. Cost: one forward pass, and one backward pass per target.
    Raises ValueError for a model without any ReLU, with the names of the nonlinearities that it has instead.

    For comparison with the literature; `GuidedBackprop` is sharper.

    Zeiler, Fergus, ECCV 2014 (arXiv:1311.2901).

    >>> import camjax, jax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: jax.nn.relu(x) @ w, jnp.array([[1.0], [-1.0], [2.0]]))
    >>> x = jnp.array([[3.0, 2.0, -1.0]])
    >>> camjax.attribute(model, x, 0, method=camjax.saliency.DeconvNet()).values
    Array([[1., 0., 2.]], dtype=float32)
    """

    rule: ClassVar[str | None] = "deconvnet"
    about: ClassVar[About] = About(
        "Zeiler & Fergus, ECCV 2014 (arXiv:1311.2901)",
        "1 forward pass, 1 backward pass per target",
        "for comparison with the literature on networks of ReLUs",
    )
