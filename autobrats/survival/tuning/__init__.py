"""The choice of a survival model: what is tried, how it is judged, and when something simpler is better."""
