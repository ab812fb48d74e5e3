"""torchvision's and timm's model code, importable whatever build of torch stands beside it.

torchvision's wheel carries compiled operators that the CPU build of torch cannot load. Its models are
pure Python; they only need the names of two operators to exist.
"""

import torch

try:
    import torchvision
except RuntimeError:  # operator torchvision::nms does not exist
    # kept for the life of the process: the declarations vanish with the object that made them
    _declarations = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _declarations.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision

import timm

__all__ = ["timm", "torchvision"]
