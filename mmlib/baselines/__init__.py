"""What zero-pair translation is measured against: the same networks, data and `fit`, another objective."""
