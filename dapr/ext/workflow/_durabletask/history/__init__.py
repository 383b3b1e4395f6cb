"""What a worker remembers of workflow instances between their turns.

`cache` keeps committed histories within bounds, `fence` tells which dispatch of an instance is the newest, `resolver`
is the one place that decides what a turn replays, and why.
"""
