"""The asyncio side of the engine."""
