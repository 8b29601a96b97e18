"""Self-contained HTML pages: one file, no network, readable by everybody at any width."""
