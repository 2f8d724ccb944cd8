"""The fixture's behaviours: how each is switched on."""

# The correct ones, as flags of the fixture.
CORRECT = {
    "llc": ["--llc"],
    "steal": ["--steal"],
}

# Faults, as flags of the fixture.
FAULTS = {
    "drop": ["--fault", "drop", "--target", "cpu_spin"],
    "error": ["--fault", "error=500"],
}
