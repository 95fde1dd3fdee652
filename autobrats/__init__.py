"""autobrats: self-configuring segmentation of brain tumours in MRI."""

__version__ = "0.1.0"
