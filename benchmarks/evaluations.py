"""Claim: Score-CAM takes two thirds of the peers' time and a third of their memory at most, Ablation-CAM a 200th of the
time; and Score-CAM adds next to nothing to the model's own passes.

    .venv/bin/python benchmarks/evaluations.py --peers PEERS/bin/python [--rounds 2]

Methods that evaluate the model, or its head, once for each channel: for one picture and one class, with random weights
on both sides, at camjax's default layer, which the peers are told. The peers run in a process of their own and take
turns with camjax; the times are medians. "Evaluations" is what the model's own passes take in a loop of their own, as
many as there are channels and as many at once as camjax takes; the rest is the method's own work, and may be 5%. So
Score-CAM is as fast beside the peers as the network's forward pass is (`forward.py`). Memory is by how much a process
grows at most during its last call. What the peers take minutes for runs once, without warming up. Prints a Markdown
table and exits with 1 if the claim does not hold.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import Any, NamedTuple

from _peers import Peers
from _timing import images, seconds, setting, weighed

LEAST, MEMORY = 0.95, 1 / 3  # the share of the evaluations, and of the peers' memory


class Case(NamedTuple):
    """A method, a network, the claimed factor over each peer, and how often the peers run at most."""

    method: str
    network: str
    factor: float
    rounds: int


CASES = (
    Case("ScoreCAM", "torchvision:resnet18", 1.5, 9),
    Case("ScoreCAM", "torchvision:mobilenet_v2", 1.5, 1),
    Case("AblationCAM", "torchvision:resnet50", 200, 1),
)


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    import camjax_torch
    import jax
    import jax.numpy as jnp
    import torch
    from camjax_torch import zoo

    import camjax
    from camjax._portions import entries, most

    peers = Peers(options.peers)
    print(
        f"{setting('jax', 'torch')}\n\n"
        "| method | network | camjax | in forward passes of one picture | evaluations | memory | by | takes | times as "
        "long | memory |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    holds = True
    for case in CASES:
        torch.manual_seed(0)
        model = camjax_torch.from_torch(zoo.entry(case.network).make(False, None).eval(), torch.zeros(1, 3, 224, 224))
        x = jnp.asarray(images(1))
        default, cut = camjax.layers(model, x).default, camjax.split(model, x)
        assert default is not None
        at_once = most(entries(), x, cut.widest) or 32
        method = getattr(camjax, case.method)()
        found: list[Any] = []

        def explain(model: Any = model, method: Any = method, x: Any = x, found: list[Any] = found) -> None:
            found[:] = [jax.block_until_ready(camjax.explain(model, x, 1, method=method, strict=False))]

        explain()
        channels, evaluates = found[0].weights.shape[-1], case.method == "ScoreCAM"

        def forward(params: Any, x: Any, cut: Any = cut) -> Any:
            return cut.head(params, *cut.features(params, x))

        def passes(params: Any, x: Any, forward: Any = forward, count: int = channels, many: int = at_once) -> Any:
            def one(strength: Any) -> Any:
                return forward(params, strength * x)

            return jax.lax.map(one, jnp.linspace(0, 1, count), batch_size=many)

        own = {"one": jax.jit(forward)} | ({"passes": jax.jit(passes)} if evaluates else {})
        runs: dict[str, Any] = {"camjax": explain} | {
            name: lambda run=run, model=model, x=x: jax.block_until_ready(run(model.params, x))
            for name, run in own.items()
        }
        for run in runs.values():
            run()
        answer = peers(network=case.network, layer=default.name, batch=1, method=case.method)
        names = [name for name in answer["names"] if name != "forward"]
        times: dict[str, list[float]] = {name: [] for name in (*runs, *names)}
        grown: dict[str, float] = {}
        for turn in range(options.rounds):
            for name, run in runs.items():
                times[name].append(seconds(run))
            for name in names if turn < case.rounds else ():
                taken, grown[name] = peers(weigh=name)
                times[name].append(taken)
        grown["camjax"] = weighed(explain)[1]
        median = {name: statistics.median(values) for name, values in times.items()}
        ours = median["camjax"]
        share = median["passes"] / ours if evaluates else 1
        holds &= share >= LEAST
        for name in names:
            print(
                f"| {case.method} | {case.network}, {channels} channels | {ours:.2f} s | {ours / median['one']:.1f} | "
                f"{f'{share:.0%}' if evaluates else 'head alone'} | {grown['camjax']:.0f} MB | {name} | "
                f"{median[name]:.1f} s | {median[name] / ours:.1f} | {grown[name]:.0f} MB |",
                flush=True,
            )
            holds &= median[name] >= case.factor * ours
            holds &= not evaluates or grown["camjax"] <= MEMORY * grown[name]
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
