"""The host stack: from what a host is and what is wanted to what each layer has to do there.

``host`` is what ``host_probe`` found; ``layers`` hold one planner for each layer of the stack; ``plan``
is what planners are given and give. All of it is pure: what a repository offers comes in as data.
"""
