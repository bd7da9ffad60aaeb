"""What must hold when processes die, objects misbehave or limits bite."""
