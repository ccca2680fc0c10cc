"""The whole system as ordinary processes, without Docker: `python3 -m local`."""
