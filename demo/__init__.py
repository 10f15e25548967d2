"""``make demo``: the main job of a backup program on a real tree, and a comparison that trusts nothing of bork."""
