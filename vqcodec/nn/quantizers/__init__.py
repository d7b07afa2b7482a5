"""Ways to turn a latent into codes, one file each, behind one interface.

`Codebook` is one layer: vectors -> codes, codes -> vectors, and how it learns; `CODEBOOKS` of
`vqcodec.models.architecture` names them. `Quantizer` arranges layers: `residual` (one after the other, at one rate or
several) and `grouped` (side by side).
"""
