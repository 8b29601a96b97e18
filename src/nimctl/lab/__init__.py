"""The lab: containers on this machine that behave like bare machines, to try everything on."""
