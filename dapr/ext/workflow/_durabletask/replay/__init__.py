"""The replay engine: history events in, actions out.

Pure: no I/O, no threads, no clock, no logging. One `WorkflowInstance` is one running workflow; it is given events
(`replay` those of the committed history, `run` those of the turn) and gives actions. `handlers` says what each kind of
event does, `context` is what the workflow's code sees and records what it did, `actions` makes messages of that when,
and only when, they are to be sent.
"""
