"""The way to the sidecar: settings, channels, the connection and its stream of work items."""
