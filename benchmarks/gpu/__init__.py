"""Fine-tuning on a GPU beside timm's own training loop; `python -m benchmarks.gpu`."""
