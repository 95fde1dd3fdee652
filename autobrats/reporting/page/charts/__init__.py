"""Charts as SVG: each is drawn at the size at which a phone shows it, so that its text stays readable."""
