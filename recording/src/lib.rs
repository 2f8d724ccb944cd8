//! Placeholder header, replaced with the crate's first commit.
