"""What the emulator has of Dapr's own API beside workflows: health, metadata and state stores.

Apps that use workflows through more than `dapr.ext.workflow`, such as agents, wait for the sidecar by HTTP and keep
things in a state store. With `--dapr-http-port` the emulator gives them that much:

| part | what |
| --- | --- |
| `messages` | the messages, by the numbers that their fields have on the wire |
| `items` | state stores: keys, values, etags and expiry, in the emulator's database |
| `service` | the calls by gRPC, on the listeners that the workers use; what is missing says so |
| `health` | the HTTP listener, for those who wait until the sidecar is there |

It stands beside the emulator's rooms: they know nothing of it, and it uses of them the database and the errors alone.
"""

from dapr.ext.workflow.emulator.dapr_api.api import DaprApi

__all__ = ['DaprApi']
