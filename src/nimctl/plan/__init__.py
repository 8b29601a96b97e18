"""Whether a model fits, how to split it, how fast it is, what it costs, and whether the fabric is enough."""
