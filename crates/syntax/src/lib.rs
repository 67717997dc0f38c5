//! Reads YAML and says exactly where it is wrong: file, line, column, and what was probably meant.
//!
//! Invariant: pure and total. Any text gives a value or diagnostics, never a panic; limits stop YAML bombs.
//! Read next: `parse.rs` (text to a tree with places), `read.rs` (tree to a type), `render.rs` (for people).

mod diagnostic;
mod parse;
mod plain;
mod read;
mod render;
mod suggest;
mod tree;
mod wrong;

pub use diagnostic::{Diagnostic, Severity};
pub use parse::parse;
pub use read::{read_tree, read_yaml};
pub use render::{Look, SECRET_IN_FILE, render, render_as};
pub use suggest::nearest;
pub use tree::{Content, Entry, Key, Place, Scalar, Step, Tree, locate, locate_key};
