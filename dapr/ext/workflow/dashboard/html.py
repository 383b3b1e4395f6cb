"""Elements of HTML and SVG, as strings that are escaped by the way they are made.

What is given as a str is text, and is escaped; only what `el` has made goes in as it is. So no page can forget it.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias


class Markup(str):
    """What needs no more escaping. Made by `el` and `join` alone."""

    __slots__ = ()


Child: TypeAlias = 'Markup | str | int | float | Iterable[Child] | None'

_VOID = frozenset({'input', 'link', 'meta', 'br', 'hr', 'img'})


def el(tag: str, *children: Child, **attributes: object) -> Markup:
    """An element.

    Args:
        tag: Its name; a constant of ours, never anything that came from outside.
        children: What is in it; texts are escaped, None is left out.
        attributes: Its attributes. `class_` is class, `_` stands for `-`; None and False leave one out, True gives it
            no value.
    """
    opened = f'<{tag}{_attributes(attributes)}>'
    return Markup(opened) if tag in _VOID else Markup(f'{opened}{join(children)}</{tag}>')


def join(children: Iterable[Child]) -> Markup:
    """Several things, one after the other."""
    return Markup(''.join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ''
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return html.escape(str(child))
    return join(child)


def _attributes(attributes: dict[str, object]) -> str:
    parts = []
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        name = name.rstrip('_').replace('_', '-')
        parts.append(f' {name}' if value is True else f' {name}="{html.escape(str(value))}"')
    return ''.join(parts)
