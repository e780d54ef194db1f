"""Detectors over monitoring itself. Judged by the watch, not by the sweep that they watch."""
