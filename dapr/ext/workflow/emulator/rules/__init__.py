"""What follows from what: committed history, a batch and an answer in; events and effects out. Pure.

Imports nothing of the other rooms, and does no I/O.
"""
