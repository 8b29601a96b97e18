"""Load against an OpenAI endpoint, and how fast it answers."""
