"""The model registry: which bundle of a recipe is proposed, which one is signed off, and why.

Owns every call to MLflow: reaching it (`connection`), versions and download (`store`), decisions of
people (`review`, signed in `signoffs`, verified in `chain`), what they read (`dossier`), and
registration (`push`, which alone needs the full MLflow of the train extra). May call
`imaging` and `contracts`. Nothing it downloads is unpickled: a bundle is ONNX and JSON.
"""
