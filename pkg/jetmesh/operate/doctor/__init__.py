"""The doctor: asks everything that can be asked, and says what is wrong and what to do."""
