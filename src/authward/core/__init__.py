"""Pure decisions: values in, decisions out. No I/O, no clock, no environment."""
