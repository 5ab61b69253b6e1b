"""Cut-outs of real people, riders and vehicles, to be pasted into other images."""
