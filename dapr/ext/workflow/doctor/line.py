"""What a doctor says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was found.

    Attributes:
        name: What was looked at.
        text: What was found; where it is wrong, also what to do.
        wrong: Whether it is wrong.
    """

    name: str
    text: str
    wrong: bool = False
