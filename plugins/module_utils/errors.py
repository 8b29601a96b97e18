"""What goes wrong on a node, told to a person instead of shown as a traceback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


class NodeError(Exception):
    """Something on the node is not as it has to be; the message says what, where and what to do."""


@contextmanager
def told(module: AnsibleModule) -> Iterator[None]:
    """End the module with a message where its work cannot go on."""
    try:
        yield
    except NodeError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        module.fail_json(
            msg=f"The node refuses: {error.strerror or error}{where}. Is the disk full, or the path in use?"
        )
