"""What talks to the outside: listeners, calls, worker streams, what is on its way to workers, and timers that fire.

Uses the state by its front, `backend`, and by what that tells (`seam`).
"""
