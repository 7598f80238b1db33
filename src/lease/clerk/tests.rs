//! Conversations with the clerk, on real files.
