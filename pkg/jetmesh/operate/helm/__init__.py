"""What a helm chart takes from the declarations: its values, their schema, its facts."""
