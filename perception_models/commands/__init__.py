"""The perception-models commands by topic. Each imports its dependencies when it runs, which keeps --help fast."""
