"""How the bundled demo model is made: data grammar, training, scores. Not shipped in the wheel."""
