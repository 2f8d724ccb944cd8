//! Cargo wants a target in each package; this one only names the schedulers that it depends on.

fn main() {}
