"""What is measured of the dataset and the machine."""
