"""Parse, one service call, answer."""
