"""The rehearsal engine and the image it comes in: the lab's stand-in for what needs GPUs and a licence."""
