"""Task files that are only read in the middle of a run, when a node is drained already."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from ansible.parsing.dataloader import DataLoader

ROOT = Path(__file__).parents[3]


def test_every_task_file_of_the_stages_can_be_read(tmp_path):
    loader = DataLoader()
    stages = (ROOT / "playbooks/stages").glob("*.yml")
    files = [path for path in sorted(stages) if "hosts" not in loader.load_from_file(str(path))[0]]
    assert files
    # What is imported is read when the playbook is; what it includes itself is another of these files.
    play = {"hosts": "localhost", "tasks": [{"ansible.builtin.import_tasks": str(path)} for path in files]}
    playbook = tmp_path / "all.yml"
    playbook.write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--syntax-check", playbook],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
