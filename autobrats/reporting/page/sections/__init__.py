"""The sections of the report, in files of their own; each is None where there is nothing to show."""
