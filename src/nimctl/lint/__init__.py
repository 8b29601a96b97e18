"""Find what does not work in manifests and scripts that people already have.

A file is read into containers (``readers``), rules look at them (``rules``), and where a remedy is
mechanical a finding carries the edit that makes it (``fixes``). ``check`` puts them together.
"""
