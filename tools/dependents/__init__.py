"""Packages that are built on `dapr.ext.workflow`, at pinned versions, on ours: `make test-dependents`."""
