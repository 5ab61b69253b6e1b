"""Which drives got better and which worse between two runs."""
