"""The model registry: which bundle of a recipe is proposed, which one is signed off, and why.

Owns every call to MLflow, the training run's included. From the bottom up:

- `connection` reaches MLflow and translates its errors; `versions` is what it holds for a recipe.
- `location`: which machines can reach the files of a version.
- `store` reads versions, `download` fetches and verifies their bundles where there is room,
  `dossier` is what a reviewer reads, `reading` the same registry without MLflow's own client.
- `decisions` of people: verified (`chain`), recorded (`signoffs`), compared with what was evaluated
  (`verification`) and carried out (`review`).
- `resolution` answers which version a line wants.
- `runs`: a training's MLflow run, written while it goes on by `training_run` and continued by
  `push`, which registers a bundle with its `evidence`; `reappraisal` evaluates one again that is
  registered. These need the full MLflow of the train extra, a station does not.

May call `imaging` and `contracts`. Nothing it downloads is unpickled: a bundle is ONNX and JSON.
"""
