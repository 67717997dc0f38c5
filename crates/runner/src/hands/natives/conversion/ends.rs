//! When the leases of a member end: one question a lease.

use super::super::side::Side;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use std::collections::HashMap;

/// Questions in flight: each is answered from memory, at most by way of the member that leads.
const IN_FLIGHT: usize = 16;
/// Questions that are prepared at a time: each takes a few kilobytes until it is answered.
const AT_ONCE: usize = 1_000;

/// When a lease ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Seconds that are left of it.
    pub(super) left: u64,
    /// Milliseconds since 1970.
    pub(super) at: i64,
}

impl End {
    pub(super) fn after(left: u64, now: i64) -> Self {
        let milliseconds = i64::try_from(left.saturating_mul(1000)).unwrap_or(i64::MAX);
        Self { left, at: now.saturating_add(milliseconds) }
    }
}

/// By the lease; one that has ended is not there.
pub(super) type Ends = HashMap<i64, End>;

pub(super) async fn ends(side: &Side<'_>, leases: &[i64]) -> Result<Ends, String> {
    let mut ends = Ends::new();
    for some in leases.chunks(AT_ONCE) {
        let asked: Vec<_> = some.iter().map(|id| end(side, *id).boxed()).collect();
        let asked = stream::iter(asked).buffer_unordered(IN_FLIGHT);
        let found: Vec<Option<(i64, End)>> = asked.try_collect().await?;
        ends.extend(found.into_iter().flatten());
    }
    Ok(ends)
}

async fn end(side: &Side<'_>, id: i64) -> Result<Option<(i64, End)>, String> {
    let left = side.lease(id).await?;
    Ok(left.map(|left| (id, End::after(left, Timestamp::now().as_millisecond()))))
}
