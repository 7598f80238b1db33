//! What is done about a mount that does not answer.
