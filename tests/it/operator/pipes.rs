//! What `tail` writes into pipes and files.
