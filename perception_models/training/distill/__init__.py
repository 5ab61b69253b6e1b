"""What a network learns from others: outputs of a larger network of ours, and feature maps of a foreign one."""
