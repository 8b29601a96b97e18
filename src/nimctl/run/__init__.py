"""Running Ansible and looking at what runs: everything behind the verbs that contact nodes."""
