"""What the asyncio client shares with nothing else: its channel and its interceptor."""
