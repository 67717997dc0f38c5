//! Sees clusters: asks members, hosts and processes, and puts what they say into one `Observation`.
//!
//! Invariant: looking changes nothing. Every wait has an end, an unreachable node is listed and never dropped, and what
//! was not seen stays `None`.
//! Read next: `observer.rs` (one look), `node.rs` (one node), `compare.rs` (what only shows across nodes), `adopt.rs`,
//! `named/` (what runs on named hosts).

mod adopt;
mod ask;
mod certificates;
mod clients;
mod compare;
mod config_file;
mod depth;
mod fields;
mod findings;
mod host;
mod members;
mod memory;
mod named;
mod node;
mod observer;
mod packaged;
pub mod process;
mod shared;
mod sight;
mod templated;
mod tools;
mod unit_files;

pub use adopt::{AdoptError, AdoptOptions, Adopted, adopt};
pub use clients::Clients;
pub use depth::Depth;
pub use members::{Member, members_of};
pub use named::{AdoptedHosts, NamedHost, adopt_hosts};
pub use observer::{ObserveError, Observer, Told, Transports};
pub use tools::Tools;

use quorate_model::{Finding, Severity};

/// Makes a finding; one place, so that none lacks a part.
fn finding(severity: Severity, code: &str, text: String, hint: Option<String>) -> Finding {
    Finding { severity, code: code.to_owned(), text, hint }
}
