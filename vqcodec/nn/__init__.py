"""Layers of the codec: torch only, no files and no config classes.

Features travel as [B, F, C] (batch, frames, channels): linear layers and LayerNorm then need no transposes,
and depthwise convolutions run on their fastest memory layout. Every layer takes and returns its state.
"""
