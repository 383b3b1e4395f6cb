"""What a test is told when a workflow does not end as it should."""

from __future__ import annotations

__all__ = ['WorkflowHangsError', 'WorkflowTerminatedError']


class WorkflowHangsError(TimeoutError):
    """What a test waits for has not come within the environment's limit of real time.

    The message says what each instance waits for.
    """


class WorkflowTerminatedError(Exception):
    """The workflow whose result was waited for was terminated.

    Args:
        instance_id: The instance.
        output: The output that it was given.
    """

    def __init__(self, instance_id: str, output: object) -> None:
        super().__init__(f"Workflow '{instance_id}' was terminated, with the output {output!r}.")
        self.instance_id = instance_id
        self.output = output

    def __reduce__(self) -> tuple[type[WorkflowTerminatedError], tuple[str, object]]:
        return type(self), (self.instance_id, self.output)
