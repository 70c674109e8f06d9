//! Asking a person before something is done.

use crate::end::Failure;
use std::io::IsTerminal;

/// Whether the person wants it. Without a terminal nobody can be asked: then `--yes` has to be given.
pub(crate) fn sure(yes: bool, question: &str) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("{question} There is no terminal to answer on: give --yes")));
    }
    dialoguer::Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()
        .map_err(|error| Failure::usage(format!("no answer: {error}")))
}
