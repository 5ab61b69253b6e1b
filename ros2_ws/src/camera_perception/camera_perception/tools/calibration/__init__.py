"""Intrinsics from images of a board, and the mounting from straight lane lines."""
