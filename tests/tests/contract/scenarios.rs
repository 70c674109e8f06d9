//! The scenarios, by what they are about.

mod addresses;
mod fleet;
mod holding;
mod install;
mod traffic;

use crate::scenario::Scenario;

pub(crate) fn all() -> Vec<Scenario> {
    let all = [holding::all(), fleet::all(), addresses::all(), install::all(), traffic::all()];
    all.into_iter().flatten().collect()
}
