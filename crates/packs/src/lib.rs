//! Product knowledge as data: YAML becomes a [`Pack`], checked, with its expressions and templates already parsed.
//!
//! Invariant: pure. Texts come in as values; reading files is the caller's work.
//! Read next: `format/` (what a pack can say), then `load.rs` (files to packs) and `eval/` (conditions over what was seen).

pub mod config_template;
pub mod config_text;
pub mod eval;
pub mod format;
mod lint;
mod load;
mod merge;
mod natives;
mod pack;
mod spots;
mod template;
pub mod unit_text;

pub use format::*;
pub use load::{Packs, builtin_files, lint};
pub use natives::{NATIVES, is_native};
pub use pack::Pack;
pub use template::{TemplateValue, context, render, render_lenient, template_value};

/// The JSON Schema of a pack, as pretty JSON text.
pub fn schema() -> String {
    serde_json::to_string_pretty(&schemars::schema_for!(PackFile)).unwrap_or_default()
}
