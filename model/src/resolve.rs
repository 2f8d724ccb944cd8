//! Resolution, arriving next.
