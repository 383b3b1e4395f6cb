"""What the annotations of a workflow or an activity say of its input and its result.

A function may be wrapped, bound, a partial or a callable object. Layers are looked through from the outside: what the
outermost one takes is what counts, as long as it says so; a layer that passes on whatever it is given (`*args`), or
whose parameter is not annotated, or with Any, leaves it to the next one. `__wrapped__` may lie, or point at itself.

An annotation that is text is evaluated by itself, with the names of its function's module and closure: that of the
context often names what exists for type checkers alone, and does not matter.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary, ref

__all__ = ['NOTHING_SAID', 'Signature', 'layers', 'namespace_of', 'result_type', 'signature_of']

_MAX_LAYERS: Final = 100
_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NONE: Final = type(None)

Function = Callable[..., Any]


class Signature(NamedTuple):
    """What is known of a function of a context and, or not, an input.

    Attributes:
        input_type: The type of its input; None: it does not say.
        result_type: The type of what a caller gets; None: it does not say.
        takes_input: Whether it takes an input.
        unresolved: The annotations that could not be evaluated, as in "of its input: 'Order' (name 'Order' is ...)".
    """

    input_type: Any = None
    result_type: Any = None
    takes_input: bool = True
    unresolved: tuple[str, ...] = ()


NOTHING_SAID: Final = Signature()


def layers(fn: Any) -> Iterator[Any]:
    """The callable, and what it says that it wraps, from the outside in."""
    seen: set[int] = set()
    kept = []  # what is made here must not be thrown away while ids are compared
    while callable(fn) and len(seen) < _MAX_LAYERS:
        inner = fn.__func__ if isinstance(fn, types.MethodType) else fn
        if id(inner) in seen:
            return
        seen.add(id(inner))
        kept.append(fn)
        yield fn
        fn = _next_layer(fn)


def _next_layer(fn: Any) -> Any:
    if isinstance(fn, functools.partial):
        wrapped = _next_layer(fn.func)
        return None if wrapped is None else functools.partial(wrapped, *fn.args, **fn.keywords)
    if isinstance(fn, types.MethodType):
        wrapped = getattr(fn.__func__, '__wrapped__', None)
        return types.MethodType(wrapped, fn.__self__) if inspect.isfunction(wrapped) else wrapped
    wrapped = getattr(fn, '__wrapped__', None)
    if wrapped is None and not inspect.isroutine(fn) and not isinstance(fn, type):
        wrapped = getattr(type(fn).__call__, '__wrapped__', None)
        return types.MethodType(wrapped, fn) if inspect.isfunction(wrapped) else wrapped
    return wrapped


# By the plain function, so that bound methods, made anew at each access, find theirs: (as it is, bound).
_known: WeakKeyDictionary[Any, list[Signature | None]] = WeakKeyDictionary()
_result_types: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_result_by_reference: dict[Any, Any] = _result_types.data  # type: ignore[attr-defined]


def signature_of(fn: Function) -> Signature:
    """What is known of a function; found out once."""
    function = getattr(fn, '__func__', fn)
    is_bound = function is not fn
    try:
        known = _known.setdefault(function, [None, None])
    except TypeError:  # cannot be hashed, or cannot be referred to weakly
        return _find_out(fn)
    found = known[is_bound]
    if found is None:
        found = known[is_bound] = _find_out(fn)
    return found


def result_type(fn: Function) -> Any:
    """The type of what a caller of a workflow or an activity gets; None: its function does not say."""
    # As `signature_of`, in fewer steps: each call of an activity asks.
    try:
        return _result_by_reference[ref(fn)]
    except (KeyError, TypeError):
        found = signature_of(fn).result_type
        if type(fn) is types.FunctionType:
            _result_types[fn] = found
        return found


def _find_out(fn: Function) -> Signature:
    unresolved: list[str] = []
    try:
        annotations, takes_input = _input_annotations(fn)
        input_type = _first_resolved(annotations, 'input', unresolved)
        result = _result_of(_first_resolved(_return_annotations(fn), 'result', unresolved))
    except Exception:  # a callable that raises when it is looked at: it says nothing
        return NOTHING_SAID
    return Signature(_or_none(input_type), _or_none(result), takes_input, tuple(unresolved))


_Annotations = list[tuple[Any, list[Any]]]
"""Annotations of layers, from the outside in, each with the layers whose names it may use."""


def _input_annotations(fn: Function) -> tuple[_Annotations, bool]:
    """The annotations of the input; and whether the function takes one."""
    takes_input = None
    annotations: _Annotations = []
    chain = list(layers(fn))
    for index, layer in enumerate(chain):
        try:
            parameters = list(inspect.signature(layer, follow_wrapped=False).parameters.values())
        except (TypeError, ValueError):  # a builtin that does not say
            continue
        positional = [parameter for parameter in parameters if parameter.kind in _POSITIONAL]
        keyword = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
        is_open = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
        if takes_input is None and (len(positional) > 1 or not is_open):
            takes_input = len(positional) != 1
        candidates = positional[1:2] or (keyword[:1] if positional else [])
        if candidates and candidates[0].annotation is not inspect.Parameter.empty:
            annotations.append((candidates[0].annotation, chain[index:]))
        if not is_open and not candidates:  # no input goes beyond it
            break
    if takes_input is None:
        takes_input = _open_end(chain[-1]) if chain else True
    return annotations, takes_input


def _open_end(fn: Any) -> bool:
    """Whether a callable that takes whatever it is given, or does not say, is given an input."""
    try:
        parameters = inspect.signature(fn, follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return True
    # `*args` alone most often stands for a function that is wrapped and says no more: it gets what the least take.
    return len(parameters) > 1


def _return_annotations(fn: Function) -> _Annotations:
    annotations: _Annotations = []
    chain = list(layers(fn))
    for index, layer in enumerate(chain):
        try:
            annotation = inspect.signature(layer, follow_wrapped=False).return_annotation
        except (TypeError, ValueError):
            continue
        if annotation is not inspect.Signature.empty:
            annotations.append((annotation, chain[index:]))
    return annotations


def _first_resolved(annotations: _Annotations, what: str, unresolved: list[str]) -> Any:
    """The first annotation that says something; one that cannot be resolved ends the search."""
    for annotation, chain in annotations:
        resolved = _resolved(annotation, chain, what, unresolved)
        if resolved is not Any:
            return resolved
    return None


def _resolved(annotation: Any, chain: list[Any], what: str, unresolved: list[str]) -> Any:
    error: Exception | None = None
    # What `functools.wraps` has copied is in the words of the module that it was copied from.
    for layer in chain:
        try:
            return _evaluated(annotation, layer)
        except Exception as failure:
            error = error or failure
    text = annotation if isinstance(annotation, str) else repr(annotation)
    unresolved.append(f'that of its {what}, {text!r} ({type(error).__name__}: {error})')
    return None


def _evaluated(annotation: Any, layer: Any) -> Any:
    function = _function_of(layer)
    holder = types.SimpleNamespace(__annotations__={'value': annotation})
    hints = typing.get_type_hints(holder, getattr(function, '__globals__', {}), namespace_of(function))
    return hints['value']


def namespace_of(function: Any) -> dict[str, Any]:
    """The names that a function's annotations may use beside those of its module: its closure's and type parameters."""
    names: dict[str, Any] = {parameter.__name__: parameter for parameter in getattr(function, '__type_params__', ())}
    code = getattr(function, '__code__', None)
    for name, cell in zip(getattr(code, 'co_freevars', ()), getattr(function, '__closure__', None) or (), strict=False):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # not set yet
            continue
    return names


def _function_of(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not inspect.isroutine(fn):
        fn = type(fn).__call__
    return getattr(fn, '__func__', fn)


def _result_of(annotation: Any) -> Any:
    """What a caller gets of a function that is annotated to return a generator, a coroutine, or the result itself."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (collections.abc.Generator, collections.abc.Coroutine):
        return arguments[2] if len(arguments) > 2 else None
    if origin is collections.abc.Awaitable:
        return arguments[0]
    kinds = (collections.abc.Iterator, collections.abc.Awaitable, collections.abc.AsyncIterator)
    if isinstance(origin or annotation, type) and issubclass(origin or annotation, kinds):
        return None
    return annotation


def _or_none(annotation: Any) -> Any:
    if annotation in (Any, object, _NONE, inspect.Parameter.empty) or isinstance(annotation, typing.TypeVar):
        return None
    return annotation
