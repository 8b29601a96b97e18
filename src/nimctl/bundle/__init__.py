"""Bundles: all that a description needs from outside of its cluster, in one folder or tar."""
