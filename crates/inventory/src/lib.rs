//! What is declared: `fleet.yaml` becomes a [`quorate_model::Fleet`], resolved and checked, or errors with line and column.
//!
//! Invariant: pure. The file's text and folder come in as values; nothing here opens a file or asks the clock.
//! Read next: `file.rs` (what the file can say), `read.rs` (file to fleet), `check/` (what is refused), `write.rs` (fleet to file).

pub mod calendar;
mod check;
mod file;
pub mod freeze;
mod read;
mod select;
mod select_nodes;
mod write;

pub use file::{FLEET_SCHEMA, FleetFile};
pub use read::read_fleet;
pub use select::{SelectError, select};
pub use select_nodes::{SelectNodesError, select_nodes};
pub use write::write_fleet;

/// The JSON Schema of a fleet file, as pretty JSON text.
pub fn fleet_schema() -> String {
    serde_json::to_string_pretty(&schemars::schema_for!(FleetFile)).unwrap_or_default()
}
