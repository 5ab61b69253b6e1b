"""Where the time of a frame goes around the network, step by step: `make profile`."""
