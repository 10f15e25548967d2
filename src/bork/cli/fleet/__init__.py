"""The options of ``bork pull`` that are about many hosts, and how their runs look."""
