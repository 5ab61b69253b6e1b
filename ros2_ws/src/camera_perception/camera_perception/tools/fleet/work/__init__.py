"""Units of work, and the pools of processes or Ray actors that do them."""
