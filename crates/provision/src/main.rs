//! The provision Lambda function.

fn main() {}
