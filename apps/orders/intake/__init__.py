"""How store data comes in: what the platform says, made into rows."""
