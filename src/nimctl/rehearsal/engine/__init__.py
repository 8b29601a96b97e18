"""The rehearsal engine: a tiny language model, really split over ranks, that speaks the launch contracts.

These files are copied into the rehearsal image as the package ``rehearsal`` and need Python 3.11 and
numpy, nothing else; they import each other relatively and never the rest of nimctl.
"""
