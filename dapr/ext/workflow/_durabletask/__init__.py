"""The engine: worker, clients and replay, below the public API of `dapr.ext.workflow`."""
