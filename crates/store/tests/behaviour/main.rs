//! One suite over every store: what it promises does not depend on where it keeps things.

#![expect(clippy::unwrap_used, reason = "a check that cannot go on has failed")]

mod fixture;
mod journal;
mod kept;
mod lease;
mod same;

/// Runs each named check over a store in memory and over one in a file.
macro_rules! over_every_store {
    ($($check:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $check() { super::$check(&quorate_store::MemoryStore::new()); })+
        }
        mod sqlite {
            $(#[test] fn $check() {
                let folder = tempfile::tempdir().unwrap();
                let store = quorate_store::SqliteStore::open(&folder.path().join("state.db")).unwrap();
                super::$check(&store);
            })+
        }
    };
}
pub(crate) use over_every_store;
