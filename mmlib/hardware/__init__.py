"""For whoever runs a training: the device, its arithmetic, several processes, and what may stop a run."""
