"""What nearly all modules say of check mode and of differences, said once."""

from __future__ import annotations


class ModuleDocFragment:
    """``nimctl.multinode.modes``, or ``nimctl.multinode.modes.diff`` for a module that shows differences."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows what differs, before and after.
    support: none
"""

    DIFF = r"""
attributes:
  check_mode:
    description: Says what would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows what differs, before and after.
    support: full
"""
