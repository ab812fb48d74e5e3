"""Both zoos, family by family: what conversion makes of each, against torch, as a Markdown table.

python -m tests.adapters.torch.sweep [NAME ...]
"""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import Any

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

import camjax
from tests.adapters._table import error, printed
from tests.adapters.torch.architectures import Architecture, listed

BATCH, SIDE = 2, 96

TORCHVISION = """
    alexnet vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 mobilenet_v2 mobilenet_v3_small
    squeezenet1_1 shufflenet_v2_x0_5 mnasnet0_5 efficientnet_b0 efficientnet_v2_s regnet_x_400mf regnet_y_400mf
    googlenet convnext_tiny swin_t swin_v2_t inception_v3:128 maxvit_t:224 vit_b_32:224
    deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large fcn_resnet50
"""
# FBNetV3's random logits reach 14,000: torch's own float32 lies 3e-4 beside its float64, hence double.
TIMM = """
    vit_tiny_patch16_224:224 deit_tiny_distilled_patch16_224:224 eva02_tiny_patch14_224:224 cait_xxs24_224:224
    beit_base_patch16_224:224
    vit_relpos_small_patch16_224:224 pit_ti_224:224 tnt_s_patch16_224:224 crossvit_tiny_240:240
    convit_tiny:224 swin_tiny_patch4_window7_224:224 swinv2_tiny_window8_256:256 maxvit_rmlp_pico_rw_256:256
    coatnet_pico_rw_224:224 pvt_v2_b0 xcit_nano_12_p16_224:224 levit_128s:224 coat_tiny:224 coat_lite_tiny:224
    mobilevit_xxs mobilevitv2_050 hiera_tiny_224:224 focalnet_tiny_srf gcvit_xxtiny:224 mvitv2_tiny:224 nest_tiny:224
    twins_pcpvt_small:224 visformer_tiny:224 volo_d1_224:224 davit_tiny tiny_vit_5m_224 efficientformer_l1:224
    efficientformerv2_s0:224 efficientvit_b0 efficientvit_m0:224 edgenext_xx_small swiftformer_xs:224 caformer_s18
    mixer_s32_224:224 gmlp_ti16_224:224 resmlp_12_224:224 poolformer_s12 convnextv2_atto
    inception_next_atto fastvit_t8 repvgg_a0 repvit_m0_9 ghostnet_050 mobilenetv4_conv_small hardcorenas_a
    hrnet_w18_small dla34 dpn48b cspresnet50 darknet53 cs3darknet_s nf_regnet_b0 resnest14d res2net50_14w_8s skresnet18
    seresnet18 selecsls42 tinynet_e rexnet_100 lcnet_050 mixnet_s ese_vovnet19b_dw xception41:128 resnetv2_50
    bat_resnext26ts:256 botnet26t_256:256 halonet26t:256 lambda_resnet26t:256 gernet_s hgnetv2_b0 tresnet_m starnet_s1
    mambaout_femto rdnet_tiny fbnetv3_b:96:double inception_v4:128
"""


SWEEP = [*listed("torchvision", TORCHVISION, SIDE), *listed("timm", TIMM, SIDE)]


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of one architecture; errors relative to torch's largest value.

    `layer`: the default layer, and `compared`, the module at which the maps are compared: the same where the layer is
    a module, else the last module before it whose maps have its grid.
    """

    spec: str
    operations: int
    layer: str
    compared: str
    grid: tuple[int, ...]
    seconds: float
    logits: float
    gradcam: float

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table; its first four cells are the same on every machine."""
        at = f"`{self.layer}`" if self.layer == self.compared else f"`{self.layer}` (map at `{self.compared}`)"
        grid = "x".join(map(str, self.grid))
        errors = (f"{value:.0e}" for value in (self.logits, self.gradcam))
        return self.spec, str(self.operations), at, grid, f"{self.seconds:.1f}", *errors


TITLES = ("architecture", "operations", "default layer", "grid", "conversion, processor s", "logits", "Grad-CAM")


def measure(architecture: Architecture) -> Row:
    """Convert, explain by default, and compare with torch's logits and with autograd's Grad-CAM at the same module."""
    with jax.enable_x64(architecture.double):
        return _measure(architecture)


def _measure(architecture: Architecture) -> Row:
    module, x = architecture.module(), architecture.pictures(BATCH)
    start = time.process_time()
    model = camjax_torch.from_torch(module, x[:1])
    seconds = time.process_time() - start
    pictures = jnp.asarray(x.numpy())
    found = camjax.layers(model, pictures)
    layer = found.default
    assert layer is not None, f"{architecture.spec}: no default layer"
    name = _module_of(found, module)
    with torch.no_grad():
        indices = score_of(module(x)).argmax(-1)
    classes = jnp.asarray(indices.numpy(), jnp.int32)
    explain = camjax.explainer(model, pictures, layer=name, size=None)

    def target(index: Any) -> Any:
        return lambda outputs: score_of(outputs)[index]

    several = hasattr(module(x), "items")
    got, explanation = jax.jit(
        lambda model, x: (model(x), explain(model, x, target(int(indices[0])) if several else classes))
    )(model, pictures)
    if several:
        indices = indices[:1].expand(BATCH)
    expected, value, gradient = torch_gradients(module, name, x, indices)
    steps = [step.operation for step in model.apply.steps]  # pyright: ignore[reportFunctionMemberAccess]
    axes = camjax.split(model, pictures, name).layout((1, *value.shape[1:]))
    A, G = (np.stack([axes.to_map(one[None]) for one in side]) for side in (value, gradient))
    space = tuple(range(1, A.ndim - 1))
    gradcam = (G.mean(space, keepdims=True) * A).sum(-1)
    assert np.isfinite(explanation.raw).all()
    return Row(
        architecture.spec,
        len({step for step in steps if not step.startswith("_operator")}),
        layer.name,
        name,
        tuple(gradcam.shape[1:]),
        seconds,
        error(got if not several else got["out"], expected),
        error(explanation.raw[:, 0], gradcam),
    )


def score_of(outputs: Any) -> Any:
    """Class scores, the last axis; of a segmentation network each class's mean over its logits."""
    if hasattr(outputs, "items"):
        return outputs["out"].mean((-2, -1))
    return outputs


def _module_of(found: Any, module: nn.Module) -> str:
    """The default layer if it is a module's output, else the last module before it of the same shape of maps."""
    modules = {path for path, _ in module.named_modules()}
    rows = list(found)
    at = rows.index(found.default)
    for row in [found.default, *reversed(rows[:at])]:
        if row.axes is not None and row.axes.grid == found.default.axes.grid:
            for name in (row.name, *row.aliases):
                if name in modules:
                    return name
    raise AssertionError("no module makes maps like the default layer's")


def torch_gradients(
    module: nn.Module, layer: str, x: torch.Tensor, indices: torch.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The outputs, and the value of a module's output and the scores' gradient there."""
    held = {}

    def keep(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        held["A"] = output.clone()
        return held["A"].clone()  # what follows may write in place

    handle = module.get_submodule(layer).register_forward_hook(keep)
    outputs = module(x)
    handle.remove()
    scores = score_of(outputs)
    (gradient,) = torch.autograd.grad(scores[torch.arange(len(x)), indices].sum(), held["A"])
    if hasattr(outputs, "items"):
        outputs = outputs["out"]
    return outputs.detach().numpy(), held["A"].detach().numpy(), gradient.numpy()


if __name__ == "__main__":
    names = sys.argv[1:]
    chosen = [(it.spec, it) for it in SWEEP if not names or it.spec.partition(":")[2] in names]
    sys.exit(printed(TITLES, chosen, lambda it: measure(it).cells))
