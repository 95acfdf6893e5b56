"""The client of Gesso's daemon, blocking or asyncio. Standard library only, Python 3.9, copied into hosts; it never touches pixels."""
