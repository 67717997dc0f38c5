//! The hands that touch the real world: looks through observers, acts through hosts.

mod act;
mod call;
mod copies;
mod dependants;
mod done;
mod files;
mod kept;
mod lanes;
mod live;
mod looks;
mod member;
mod natives;
mod prepared;
mod restore;
mod started;

pub(crate) use copies::{BackupRecord, copies_whole, copy_whole, put_back};
pub use live::{LiveHands, LiveParts};
pub use prepared::Prepared;
