//! From Wikimedia's stream to browser, psql and terminal, through the built binary.
