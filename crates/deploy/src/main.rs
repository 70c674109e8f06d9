//! The deploy Lambda function.

fn main() {}
