"""The model registry: which bundle of a recipe is proposed, which one is signed off, and why.

Owns every call to MLflow: reaching it (`connection`), versions (`store`) and their files
(`download`), decisions of people (`review`; what they sign is held against what was evaluated in
`verification`, signed in `signoffs`, verified in `chain`, compared with MLflow's alias in `alias`),
what they read (`dossier`), and registration (`push` of a bundle with its `evidence`, which alone
needs the full MLflow of the train extra, and `reappraisal` of one that is there). May call
`imaging` and `contracts`. Nothing it downloads is unpickled: a bundle is ONNX and JSON.
"""
