"""The messages of Dapr's API that the emulator knows, with the fields that it reads or fills.

The names and numbers are Dapr's (`dapr/proto/runtime/v1` and `dapr/proto/common/v1`). They are kept in a descriptor
pool of their own: Dapr's SDK, which may be in the same process, registers its full copy in the one that all share, and
that takes each name once. Fields that are not named here are unknown ones, which protobuf passes over.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

__all__ = ['message_type']

_PACKAGE: Final = 'dapr.ext.workflow.emulator'
# As in a .proto file. `map` is map<string, string>, which all of Dapr's metadata are; an enum is its number.
_MESSAGES: Final = {
    'Etag': ('string value = 1',),
    'StateOptions': ('int32 concurrency = 1', 'int32 consistency = 2'),
    'StateItem': (
        'string key = 1',
        'bytes value = 2',
        'Etag etag = 3',
        'map metadata = 4',
        'StateOptions options = 5',
    ),
    'GetStateRequest': ('string store_name = 1', 'string key = 2'),
    'GetStateResponse': ('bytes data = 1', 'string etag = 2', 'map metadata = 3'),
    'GetBulkStateRequest': ('string store_name = 1', 'repeated string keys = 2'),
    'BulkStateItem': ('string key = 1', 'bytes data = 2', 'string etag = 3', 'string error = 4', 'map metadata = 5'),
    'GetBulkStateResponse': ('repeated BulkStateItem items = 1',),
    'SaveStateRequest': ('string store_name = 1', 'repeated StateItem states = 2'),
    'DeleteStateRequest': ('string store_name = 1', 'string key = 2', 'Etag etag = 3', 'StateOptions options = 4'),
    'DeleteBulkStateRequest': ('string store_name = 1', 'repeated StateItem states = 2'),
    'TransactionalStateOperation': ('string operationType = 1', 'StateItem request = 2'),
    'ExecuteStateTransactionRequest': (
        'string storeName = 1',
        'repeated TransactionalStateOperation operations = 2',
        'map metadata = 3',
    ),
    'Empty': (),
    'GetMetadataRequest': (),
    'RegisteredComponents': (
        'string name = 1',
        'string type = 2',
        'string version = 3',
        'repeated string capabilities = 4',
    ),
    'GetMetadataResponse': (
        'string id = 1',
        'repeated RegisteredComponents registered_components = 3',
        'string runtime_version = 8',
    ),
}
_SCALARS: Final = {
    'string': FieldDescriptorProto.TYPE_STRING,
    'bytes': FieldDescriptorProto.TYPE_BYTES,
    'int32': FieldDescriptorProto.TYPE_INT32,
}


def _add_field(message: DescriptorProto, text: str) -> None:
    left, _, number = text.partition(' = ')
    *repeated, kind, name = left.split()
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if repeated or kind == 'map':
        field.label = FieldDescriptorProto.LABEL_REPEATED
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
        return
    field.type = FieldDescriptorProto.TYPE_MESSAGE
    if kind == 'map':
        kind = f'{message.name}.{name.capitalize()}Entry'
        entry = message.nested_type.add(name=kind.rpartition('.')[2])
        entry.options.map_entry = True
        _add_field(entry, 'string key = 1')
        _add_field(entry, 'string value = 2')
    field.type_name = f'.{_PACKAGE}.{kind}'


def _make_pool() -> DescriptorPool:
    file = FileDescriptorProto(name='dapr_api.proto', package=_PACKAGE, syntax='proto3')
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _add_field(message, field)
    pool = DescriptorPool()
    pool.Add(file)
    return pool


_POOL: Final = _make_pool()


def message_type(name: str) -> Any:
    """The class of a message.

    Args:
        name: As Dapr has it, without the package.

    Raises:
        KeyError: It is not among those that the emulator knows.
    """
    return GetMessageClass(_POOL.FindMessageTypeByName(f'{_PACKAGE}.{name}'))
