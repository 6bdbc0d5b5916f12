"""Planning across models: who may stand in for whom, and whether that costs less than one more replica."""
