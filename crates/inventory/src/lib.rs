//! What is declared: `fleet.yaml` becomes a [`quorate_model::Fleet`], resolved and checked, or errors with line and column.
//!
//! Invariant: pure. The file's text and folder come in as values; nothing here opens a file or asks the clock.
//! Read next: `file.rs` (what the file can say), `read.rs` (file to fleet), `check/` (what is refused), `write.rs` (fleet to file),
//! `hosts/` (hosts that sources list, and selectors).

pub mod calendar;
mod check;
mod file;
pub mod freeze;
pub mod hosts;
mod read;
mod select;
mod write;

pub use file::{FLEET_SCHEMA, FleetFile};
pub use hosts::{HostSelectError, ListedHost, listed, select_hosts};
pub use read::read_fleet;
pub use select::{SelectError, select};
pub use write::write_fleet;

/// The JSON Schema of a fleet file, as pretty JSON text.
pub fn fleet_schema() -> String {
    serde_json::to_string_pretty(&schemars::schema_for!(FleetFile)).unwrap_or_default()
}
