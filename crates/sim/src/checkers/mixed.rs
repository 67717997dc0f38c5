//! S5: releases that run beside each other are never more than one line apart, and never older than the cluster.

use super::{Act, Check};
use crate::{
    product::Product,
    world::{Process, World},
};

/// Looks at what runs after every act.
pub(crate) struct Mixed;

impl Check for Mixed {
    fn name(&self) -> (&'static str, &'static str) {
        ("mixed", "S5")
    }
    fn acted(&mut self, _act: &Act<'_>, world: &World) -> Option<String> {
        let product = Product::get();
        let runs = world.members.iter().filter_map(|member| match member.process {
            Process::Down => None,
            Process::Starting { .. } => Some(product.line(member.live)),
            Process::Up => Some(product.line(member.runs)),
        });
        let (low, high) = runs.fold((u32::MAX, 0), |(low, high), line| (low.min(line), high.max(line)));
        let apart = high.saturating_sub(low) > 1;
        apart.then(|| format!("lines 1.{low} and 1.{high} run beside each other"))
    }
}
