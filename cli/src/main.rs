//! node-flame.
fn main() {}
