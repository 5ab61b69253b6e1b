"""The models of a camera node: opened, built in the background, changed by a service, described."""
