//! The adapter over AWS's real protocols: the emulator behind the gateway, which also plays AWS's errors.

mod account;
mod alarms;
mod errors;
mod figures;
mod holds;
mod limits;
mod switches;
mod zones;
