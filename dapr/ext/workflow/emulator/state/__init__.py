"""What the emulator remembers: rows in SQLite, the instances in memory, and one call's changes on their way into both.

Uses the rules, and knows nothing of gRPC, streams or threads. `backend` is its front.
"""
