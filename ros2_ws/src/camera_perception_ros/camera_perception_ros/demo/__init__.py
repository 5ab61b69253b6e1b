"""A recorded drive through the real nodes: separate processes, real DDS on localhost, numbers and a video at the end."""
