//! The project's own chores: tidy, test.
fn main() {}
