//! S8: only the holder of the newest lease generation acts.

use super::{Act, Check};
use crate::world::World;
use quorate_model::Generation;

/// Remembers the newest generation that was ever given out.
#[derive(Default)]
pub(crate) struct NewestLease {
    newest: Generation,
}

impl Check for NewestLease {
    fn name(&self) -> (&'static str, &'static str) {
        ("newest-lease", "S8")
    }
    fn lease_taken(&mut self, generation: Generation) {
        self.newest = self.newest.max(generation);
    }
    fn acting(&mut self, act: &Act<'_>, _world: &World) -> Option<String> {
        let newest = self.newest;
        (act.generation < newest)
            .then(|| format!("generation {} acts, {newest} is the newest", act.generation))
    }
}
