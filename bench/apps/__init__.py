"""The servers that are compared, each an app of its own process. Each freezes what its import has made, as docs/deployment.md says."""
