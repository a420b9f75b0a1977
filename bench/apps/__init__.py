"""The servers that are compared, each an app of its own process."""
