"""The live page: a recording, a camera or running nodes, watched in a browser."""
