"""For whoever compares: all else that `fit` trains, on the same data, with another objective or other networks."""
