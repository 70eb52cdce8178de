"""The stages of a run, as commands and jobs call them."""
