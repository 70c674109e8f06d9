//! Releases end to end: the real functions against a local cloud.

mod artifacts;
mod bad_input;
mod deaths;
mod denied;
mod events;
mod secrets;
mod settings;
mod side_by_side;
mod throttling;
