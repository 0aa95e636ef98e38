//! The service's one binary.
fn main() {}
