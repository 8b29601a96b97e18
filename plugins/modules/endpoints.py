#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: endpoints
short_description: Check that servers can be reached from a node
description:
  - Opens a TCP connection to each, and fails with all that cannot be reached. Changes nothing.
version_added: 0.2.0
options:
  endpoints:
    description: What must be reachable.
    type: list
    elements: dict
    required: true
    suboptions:
      host: {description: Name or address., type: str, required: true}
      port: {description: TCP port., type: int, required: true}
      what: {description: "What it is for, to begin the message with.", type: str, required: true}
  seconds:
    description: How long each may take to answer.
    type: int
    default: 5
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Check that the file server answers
  nimctl.multinode.endpoints:
    endpoints:
      - {host: 10.0.0.10, port: 2049, what: storage /models}
"""

RETURN = r"""#"""

import socket

from ansible.module_utils.basic import AnsibleModule


def problem(endpoint: dict, seconds: int) -> str:
    """Why an endpoint cannot be reached; empty if it can."""
    where = f"{endpoint['host']}, TCP port {endpoint['port']}"
    try:
        socket.create_connection((endpoint["host"], endpoint["port"]), seconds).close()
    except OSError as error:
        return (
            f"{endpoint['what']}: {where} cannot be reached from this node ({error}). Is the server up, "
            "the address right, and nothing between them that closes the port? Nothing was changed."
        )
    return ""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "endpoints": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "host": {"type": "str", "required": True},
                    "port": {"type": "int", "required": True},
                    "what": {"type": "str", "required": True},
                },
            },
            "seconds": {"type": "int", "default": 5},
        },
        supports_check_mode=True,
    )
    found = [problem(endpoint, module.params["seconds"]) for endpoint in module.params["endpoints"]]
    problems = [line for line in found if line]
    if problems:
        module.fail_json(msg="\n".join(problems))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
