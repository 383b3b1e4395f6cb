"""What the command line and the dashboard know of workflows, from a sidecar's own calls.

- `story`: a history, read as what happened: the steps, their attempts, and what is waited for now. Pure.
- `sidecar`: the calls that both make, by the engine's client.
- `catalogue`: all instances of a sidecar with their states, kept up to date, to be filtered, sorted and counted.

Uses clients alone; nothing of the engine knows of it.
"""
