"""Claim: in a vision transformer Grad-CAM points to the right object at most 5 points less often than in a
convolutional network, with no option set in either.

    .venv/bin/python benchmarks/pointing_transformer.py [--scenes 500]

Held-out testbed scenes with two objects, and the networks that `camjax.testbed` and `tests/testbed/transformer.py`
hold; the map of each object's class is asked for. The transformer's tokens have learned from the masks, too. The
columns are those of `pointing.py`. The methods of attention are measured beside the gradient's, on the same scenes.
Exits with 1 if the claim does not hold.
"""

import argparse
import sys
from pathlib import Path

from pointing import CONTROLS, SEED, judged, mask_maps, measure, row, show

from camjax import testbed
from camjax.methods import METHODS

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests' networks

GRADIENTS = ("gradcam", "hirescam", "layercam", "gradcam++", "layerig")
ATTENTION = ("legrad", "gae", "gradeclip", "attentionrollout")


def main() -> int:
    """Measure, print, and check the claim."""
    from tests.testbed import transformer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=500)
    drawn = testbed.scenes(SEED, parser.parse_args().scenes, objects=(2, 2))
    print("| method | points into its object, % | mass in its object, % | scenes | |", flush=True)
    print("|---|---|---|---|---|", flush=True)
    other = measure("gradcam", METHODS["gradcam"](), drawn)
    show(other._replace(note="the convolutional network"))
    rows = {}
    for name in (*GRADIENTS, *ATTENTION, *CONTROLS):
        rows[name] = measure(name, METHODS[name](), drawn, transformer.model())
        show(rows[name])
    show(row("true mask", judged(mask_maps(drawn), drawn.masks), "the bound of a 16x16 map", 0.0))
    return 0 if rows["gradcam"].pointing >= other.pointing - 5 else 1


if __name__ == "__main__":
    sys.exit(main())
