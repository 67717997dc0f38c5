//! Stand-in until the golden tests are written.
fn main() {}
