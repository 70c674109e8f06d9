//! The cleanup Lambda function.

fn main() {}
