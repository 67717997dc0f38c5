//! The live terminal screen of a run: what it does, what it waits for, who must act, and what clients feel.
//!
//! Invariant: the screen decides nothing. It draws a report and hands what a person asks for to its caller.
//! Read next: `terminal.rs` (owns the terminal), `keys.rs` (what a key means), `draw/mod.rs` (pure drawing).

mod draw;
mod keys;
pub(crate) mod live;
mod terminal;
#[cfg(test)]
mod tests;

pub(crate) use keys::Key;
pub(crate) use terminal::Screen;
