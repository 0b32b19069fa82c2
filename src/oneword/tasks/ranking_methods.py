"""What ranks the sources of the transfer experiment, and among which sources: names, without torch."""

from __future__ import annotations

FUTE = ("fute-taskemb", "fute-tupate")
METHODS = (*FUTE, "datasize", "curvegrad", "textemb", "taskemb", "tupate")
SETTINGS = ("in-class", "all-class", "cross-domain")
