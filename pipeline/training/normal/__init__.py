"""Method `normal`: a model of good parts alone, for lines that know no bad part, or few.

Two scorers look at the same feature maps: a memory of patches of good parts, thinned by a greedy
coreset (`coreset`; PatchCore, Roth et al., CVPR 2022), which measures how far each place of a
picture is from anything seen on good parts, and a subspace of the pooled features (`subspace`;
Mahalanobis distance with what lies outside of it), which sees what is wrong with the picture as a
whole. Which of them judges, at which level of the maps and by which places, is chosen out of fold
(`choosing`) on known bad parts or, without enough of them, on good parts with defects put in
(`injection`). `modules` holds the torch modules of the graph, `patches` computes features through
ONNX Runtime, `fitting` puts all together by `settings`. May call the rooms of `training` below it.
"""

from __future__ import annotations

from pipeline.training.normal.auto import too_few
from pipeline.training.normal.fitting import FittedNormal, fit, write_graph
from pipeline.training.normal.modules import NormalNetwork
from pipeline.training.normal.settings import NormalSettings

__all__ = ["FittedNormal", "NormalNetwork", "NormalSettings", "fit", "too_few", "write_graph"]
