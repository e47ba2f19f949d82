"""rampmeter inside software of others; nothing of theirs is imported before it is asked for."""
