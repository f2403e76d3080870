//! Benchmarks of tasks.
fn main() {}
