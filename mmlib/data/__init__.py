"""For whoever brings data: sets of images, where they lie, and the batches that training draws from them."""
