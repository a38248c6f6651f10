"""For whoever stops a run and goes on: the folder of a run with its saved state, and the weights it starts from."""
