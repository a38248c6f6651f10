"""For maintainers: what makes the results in `data/results`, and the tables and pages that show them."""
