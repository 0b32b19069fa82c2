"""How good a method is on a model: the papers' tasks, scored; needs the extra ``eval`` beyond STS."""
