"""What each launch contract promises, read from the contract's own sources.

Written without a look at nimctl's contract data, so that the two check each other.
"""
