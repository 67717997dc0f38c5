//! What can be learnt of a product's process on its host: the process itself, its settings, the sockets it listens on.
//!
//! Invariant: read only. What cannot be read (another user's process, a process that just ended) is left out, never guessed.

pub mod find;
pub mod settings;
pub mod sockets;
