"""What servers and services answer when they are asked how they are."""
