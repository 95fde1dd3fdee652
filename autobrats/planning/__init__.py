"""From the fingerprint to the plan."""
