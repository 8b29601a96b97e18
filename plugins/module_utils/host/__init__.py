"""What a host is, read from files: one module for each part of it.

``tree`` is where everything is read, so that a recorded host is read as a live one is. ``apart`` runs what
could hang in processes that can be given up. ``probe`` puts the parts together to what
``nimctl.stack.host.Host`` describes; the other modules have one ``read`` each.
"""
