"""`dapr-workflow`: see and steer workflows from a shell.

By the sidecar's API alone, so it works with the emulator and with any daprd, near or far, and needs no access to a
state store. `python -m dapr.ext.workflow` is the same. Commands and flags are spelled as those of `dapr workflow`.

Each group of commands is a module with `add_commands`; `main` puts them together. What they know of workflows is in
`inspection`. Without the extra `cli` tables are plain text.
"""
