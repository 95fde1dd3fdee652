"""From a trained model and a study to a segmentation in the study's own geometry."""
