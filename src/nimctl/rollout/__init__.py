"""Take nodes out of service and give them back: what may stop at one time, in which order, until when.

Pure: the playbooks and verbs say what was found on the nodes, and are told what to do.
"""
