//! What a person can run: `bench`, `demo` and `up` are the commands of their names, the others what these share.

pub mod bench;
pub mod demo;
pub mod up;

mod page;
mod story;
mod teller;
