"""Make the collection importable the way Ansible does, from the links in this clone."""

import sys
from pathlib import Path

COLLECTIONS = Path(__file__).parents[3] / "collections"
if str(COLLECTIONS) not in sys.path:
    sys.path.insert(0, str(COLLECTIONS))
