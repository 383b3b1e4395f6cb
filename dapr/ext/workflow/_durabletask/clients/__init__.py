"""What the clients, for blocking code (`client`) and for asyncio (`aio.client`), have in common.

How calls are asked for (`requests`), what comes back (`state`), and how long waits last (`waits`).
"""
