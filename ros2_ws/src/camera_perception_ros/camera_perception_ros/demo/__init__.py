"""A recorded drive through the real nodes: separate processes, real DDS, numbers and a video at the end."""
