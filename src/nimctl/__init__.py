"""nimctl turns bare GPU machines into a served large model."""

__version__ = "0.1.0"
