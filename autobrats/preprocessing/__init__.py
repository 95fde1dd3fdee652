"""From studies to the stored arrays that training reads."""
