"""Which module a class says it is of.

The classes of the public contract live in small modules, and are imported from the modules in which dapr 1.19.0 defines
them. What is pickled, documented and looked up by a class's module has to find that one: so the modules that re-export
a class claim it, with one call after their imports.
"""

from __future__ import annotations


def claim(module: str, *classes: type) -> None:
    """Makes the classes say that they are defined in the module, which must have them under their names."""
    for cls in classes:
        cls.__module__ = module
