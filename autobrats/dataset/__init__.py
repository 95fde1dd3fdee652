"""Cases as they lie on disk: layouts, conventions, image files and their integrity."""
