//! The page that `tagship dashboard` serves: what `status`, `history` and `why` show, drawn, and renewed by itself.
//!
//! The browser is told; it asks for nothing but the page, one stream of events, and acts. A browser whose tab is hidden
//! closes its stream: while none is open, AWS is asked nothing.

mod guard;
pub(crate) use guard::{Entry, Guard, secret};

mod server;
pub(crate) use server::{Page, router};

mod shown;
pub(crate) use shown::{Shown, Wishes};

mod act;
pub(crate) use act::acts;

mod pace;

mod schedule;

mod weights;

mod decisions;

mod view;

mod watch;
pub(crate) use watch::watch;

#[cfg(test)]
mod tests;
