"""Files for other schedulers and engines, from the same placement as the inventory.

Each target is one module with ``render(placement, ...)``, from a placement to texts by path. Targets that
choose nodes by themselves have a ``spelling`` besides: what they write in place of ranks and addresses.
"""
