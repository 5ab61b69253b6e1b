"""People's heads and number plates made unrecognisable in recorded images."""
