"""Models of survival: what can be chosen, fitting, calibration, intervals, explanation and the files of a model."""
