//! Brings releases to this machine: from folders, from the web, from Debian suites; kept in a cache by their digests.
//!
//! Invariant: whatever leaves this module has the digest that its name says; a file is checked when it comes in and
//! again when it is used. Read next: `cache.rs`, `catalog.rs`, `web.rs`, `debian/mod.rs`.

pub mod archive;
pub mod cache;
pub mod catalog;
pub mod debian;
pub mod error;
pub mod web;

pub use cache::Cache;
pub use catalog::Catalog;
pub use debian::DebianRequest;
pub use error::ArtifactError;
pub use web::WebRequest;

/// How far something that takes a while has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What goes on, for people: `fetching etcd 3.4.23`.
    pub what: String,
    /// Bytes so far; zero when it is not counted.
    pub bytes: u64,
    /// All bytes, when they are known.
    pub total: Option<u64>,
}

impl Progress {
    pub(crate) fn step(what: impl Into<String>) -> Self {
        Self { what: what.into(), bytes: 0, total: None }
    }
}

/// Told of progress; must return quickly.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Listens to nothing.
pub fn silent(_: Progress) {}
