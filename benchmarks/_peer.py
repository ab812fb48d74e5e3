"""The peers' side of benchmarks, run by their own Python: reads requests from standard input, a line of JSON each.

{"network": SPEC, "layer": PATH, "batch": N, "method": NAME, "classes": N, "dtype": NAME, "compile": BOOL}
                    makes them ready; answers the logits, what there is to be timed, and why what failed did
{"time": NAME}      answers the seconds of one call
{"weigh": NAME}     answers these, and by how many MB the process grows meanwhile
{"device": true}    answers on what it runs, a GPU if torch finds one
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytorch_grad_cam
import timm
import torch
import torchcam.methods
import torchvision
from _timing import CORES, images, seconds, weighed
from captum.attr import LayerGradCam
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

GRADIENT = ("GradCAM",)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


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


def device() -> str:
    """What it runs on, and how exact its matrix products are."""
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else "CPU"
    return f"torch {torch.__version__} on {name}, float32 products: {torch.get_float32_matmul_precision()}"


def calls(
    model: torch.nn.Module, at: torch.nn.Module, x: torch.Tensor, method: str, classes: range, tokens: bool
) -> dict[str, Callable[[], Any]]:
    """What is timed: the bare forward pass, and a method for each class as each library's guide writes it."""
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
    return {name: synchronised(run) for name, run in found.items()}


def synchronised(run: Callable[[], Any]) -> Callable[[], Any]:
    """A call that ends when its GPU is through."""

    def ended() -> Any:
        found = run()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return found

    return ended


def prepared(request: dict[str, Any]) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """What can be timed, and the answer."""
    dtype, method = getattr(torch, request.get("dtype", "float32")), request.get("method", "GradCAM")
    model = network(request["network"]).to(DEVICE, dtype)
    x = torch.from_numpy(images(request["batch"])).to(DEVICE, dtype)
    at, tokens = model.get_submodule(request["layer"]), request["layer"].startswith("blocks.")
    run = torch.compile(model) if request.get("compile") else model
    ready = calls(run, at, x, method, range(1, 1 + request.get("classes", 1)), tokens)
    logits, failed = ready["forward"]().float().tolist(), {}
    for name in list(ready) if method in GRADIENT else ():  # to be warm; the others take long enough
        try:
            ready[name]()
        except Exception as error:  # a library may refuse a dtype or a compiled module in any way
            failed[name] = f"{type(error).__name__}: {error}"
            del ready[name]
    return ready, {"logits": logits, "names": list(ready), "failed": failed}


def main() -> None:
    """Answers until the standard input ends."""
    torch.set_num_threads(CORES)
    ready: dict[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the peers' own, of every call
            if "time" in request:
                answer: Any = seconds(ready[request["time"]])
            elif "weigh" in request:
                answer = weighed(ready[request["weigh"]])
            elif "device" in request:
                answer = device()
            else:
                ready, answer = prepared(request)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
