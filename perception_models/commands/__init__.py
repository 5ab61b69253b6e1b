"""The commands of perception-models by idea. Each imports what it needs when it runs, so --help is instant."""
