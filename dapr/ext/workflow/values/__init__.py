"""Values of Python's types to payloads and back, by what annotations say.

What travels is JSON, and the JSON is what `dapr` 1.19.0 writes for all that it can write. What this package adds:

- Values that JSON does not have go out in a form that is given for each type (`writing`).
- Where an annotation, or `return_type=` and the like, says what a payload is, it comes back as that (`reading`).
- What an annotation means is found out once for each function (`annotations`), when it is registered or first called.

The engine sees none of it but a `Payloads` (`payloads`). Where nothing is annotated, plain JSON takes the way that it
took before: one call of the standard library. pydantic and attrs are used where an app's own classes are of them, and
never imported here.
"""
