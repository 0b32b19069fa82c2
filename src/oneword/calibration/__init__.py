"""Calibration: means, scales and directions, taken from unlabeled texts, that make cosines see more of the text."""
