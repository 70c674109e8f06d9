//! `tagship`: the command for everybody who releases, approves and operates.

fn main() {}
