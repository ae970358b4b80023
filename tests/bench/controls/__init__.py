"""Weaker or leaner patterns beside which ours is measured, each different in one mechanism."""
