"""Programs that run on a node inside an inference image, and import nothing of this package."""
