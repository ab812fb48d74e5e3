"""The peers' side of benchmarks, run by their own Python: reads requests from standard input, a line of JSON each.

{"network": SPEC, "layer": PATH, "batch": N, "method": NAME, "classes": N}    makes them ready; answers the logits
{"time": NAME}      answers the seconds of one call
{"memory": NAME}    answers by how many MB the process grows meanwhile
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytorch_grad_cam
import timm
import torch
import torchcam.methods
import torchvision
from _timing import images, memory, seconds
from captum.attr import LayerGradCam
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

GRADIENT = ("GradCAM",)


def network(spec: str) -> torch.nn.Module:
    """The network with the same random weights in every process."""
    zoo, _, name = spec.partition(":")
    torch.manual_seed(0)
    make = torchvision.models.get_model if zoo == "torchvision" else timm.create_model
    return make(name, **({"weights": None} if zoo == "torchvision" else {})).eval()


def map_of_tokens(x: torch.Tensor) -> torch.Tensor:
    """The square grid behind the class token, channels first, as pytorch-grad-cam asks for it."""
    side = int((x.shape[1] - 1) ** 0.5)
    return x[:, 1:].reshape(len(x), side, side, -1).permute(0, 3, 1, 2)


def calls(
    model: torch.nn.Module, layer: str, x: torch.Tensor, method: str, classes: range
) -> dict[str, Callable[[], Any]]:
    """What is timed: the bare forward pass, and a method for each class as each library's guide writes it."""
    at, tokens = model.get_submodule(layer), layer.startswith("blocks.")
    layer_grad_cam = LayerGradCam(model, at)

    def forward() -> Any:
        with torch.inference_mode():
            return model(x)

    def by_pytorch_grad_cam() -> Any:
        of = getattr(pytorch_grad_cam, method)
        with of(model, [at], reshape_transform=map_of_tokens if tokens else None) as cam:
            return [cam(input_tensor=x, targets=[ClassifierOutputTarget(c)] * len(x)) for c in classes]

    def by_torchcam() -> Any:
        with getattr(torchcam.methods, method)(model, at) as extractor, torch.set_grad_enabled(method in GRADIENT):
            scores, options = model(x), {"retain_graph": True} if len(classes) > 1 else {}
            return [extractor(c, scores, **options) for c in classes]

    def captum() -> Any:
        return [layer_grad_cam.attribute(x, target=c) for c in classes]

    found = {"forward": forward, "pytorch-grad-cam": by_pytorch_grad_cam}
    if not tokens and hasattr(torchcam.methods, method):  # it gives no map for tokens, nor does captum
        found["torchcam"] = by_torchcam
    if not tokens and method == "GradCAM":
        found["captum"] = captum
    return found


def main() -> None:
    """Answers until the standard input ends."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    ready: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the peers' own, of every call
            if "time" in request:
                answer: Any = seconds(ready[request["time"]])
            elif "memory" in request:
                answer = memory(ready[request["memory"]])
            else:
                model, x = network(request["network"]), torch.from_numpy(images(request["batch"]))
                method = request.get("method", "GradCAM")
                classes = range(1, 1 + request.get("classes", 1))
                ready = calls(model, request["layer"], x, method, classes)
                logits = ready["forward"]().tolist()
                for run in ready.values() if method in GRADIENT else ():  # to be warm; the others take long enough
                    run()
                answer = {"logits": logits, "names": list(ready)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
