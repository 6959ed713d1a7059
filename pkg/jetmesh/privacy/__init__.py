"""Keep what customers entrust to the shop out of logs, letters and terminals."""
