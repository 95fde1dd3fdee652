"""Generated glioma studies for the demo and the tests."""
