"""The steps of a recipe: paid calls and free local work, and the chain they form."""
