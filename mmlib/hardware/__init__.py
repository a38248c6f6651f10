"""For whoever runs a training: the device, its arithmetic, an optimiser, several processes, and what may stop a run."""
