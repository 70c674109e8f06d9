//! The route Lambda function.

fn main() {}
