"""What is explained: scalar scores of one example's outputs, for every task.

A target is anything `camjax.explain` takes for `target=`: None (the predicted class), a class index, class
names, arrays `[B]`, `[B, K]` or `[1, K]` of class indices, a function `score(outputs_of_one_example) -> scalar`,
or one of the objects that the functions of this package make. Their arrays (classes, masks, boxes, tokens,
embeddings) are data: another one of the same shape never means another compilation.
"""

from camjax._target import Logit as Logit
from camjax._target import Target as Target
from camjax._target import Top as Top
from camjax._target import logits as logits
from camjax.targets.binary import binary as binary
from camjax.targets.classes import probability as probability
from camjax.targets.classes import top as top
from camjax.targets.combined import contrast as contrast
from camjax.targets.combined import negated as negated
from camjax.targets.detection import detection as detection
from camjax.targets.embedding import embedding as embedding
from camjax.targets.embedding import similarity as similarity
from camjax.targets.finer import finer as finer
from camjax.targets.finer import rest as rest
from camjax.targets.regression import regression as regression
from camjax.targets.segmentation import segmentation as segmentation
from camjax.targets.text import sequence as sequence
from camjax.targets.text import words as words
