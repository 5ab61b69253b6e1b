"""Storage of recordings: writing and salvaging mcap files, and reading what is not a rosbag2 recording."""
