"""Bundled weights, one .safetensors and one card (.md) per model of `vqcodec.models.zoo`."""
