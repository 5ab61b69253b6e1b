"""Does the network still say what it said on the roads it was tried on? Distributions now against a reference."""
