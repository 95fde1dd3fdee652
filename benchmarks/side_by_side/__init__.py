"""Ours and the peer's on the same work, alternately in one run: ratios with their spread, and whether the results agree."""
