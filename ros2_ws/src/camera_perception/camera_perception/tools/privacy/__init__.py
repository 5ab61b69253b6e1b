"""Anonymisation of recorded images: heads and number plates are made unrecognisable."""
