"""Which pixels made the network say that? By covering parts of the picture, or by gradients."""
