//! What is declared: `fleet.yaml` becomes a [`quorate_model::Fleet`], resolved and checked, or errors with line and column.
//!
//! Invariant: pure. The file's text and folder come in as values; nothing here opens a file or asks the clock.
//! Read next: `file.rs` (what the file can say), `read.rs` (file to fleet), `check/` (what is refused), `write.rs` (fleet to file),
//! `sources/` (where hosts are listed), `hosts/` (the hosts, and selectors), `expand.rs` (hosts to nodes).

pub mod calendar;
mod check;
mod expand;
mod file;
pub mod freeze;
pub mod hosts;
mod read;
mod select;
mod select_nodes;
pub mod sources;
mod write;
mod write_ansible;

pub use file::{FLEET_SCHEMA, FleetFile};
pub use hosts::{HostSelectError, ListedHost, listed, select_hosts, select_listed};
pub use read::{read_fleet, read_fleet_with};
pub use select::{SelectError, select};
pub use select_nodes::{SelectNodesError, select_nodes};
pub use sources::{Source, read_sources};
pub use write::write_fleet;
pub use write_ansible::write_ansible;

/// The JSON Schema of a fleet file, as pretty JSON text.
pub fn fleet_schema() -> String {
    serde_json::to_string_pretty(&schemars::schema_for!(FleetFile)).unwrap_or_default()
}
