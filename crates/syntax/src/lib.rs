//! Reads YAML and says exactly where it is wrong: file, line, column, and what was probably meant.
//!
//! Invariant: pure and total. Any text gives a value or diagnostics, never a panic; limits stop YAML bombs.
//! Read next: `tree.rs` (text to a tree with positions), `read.rs` (tree to a type), `render.rs` (for people).

mod diagnostic;
mod read;
mod render;
mod suggest;
mod tree;

pub use diagnostic::{Diagnostic, Severity};
pub use read::{read_tree, read_yaml};
pub use render::{Look, render, render_as};
pub use suggest::nearest;
pub use tree::{Content, Entry, Key, Place, Scalar, Step, Tree, locate, locate_key, parse};
