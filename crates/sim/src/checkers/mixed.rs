//! S5: releases that run beside each other are never more than one line apart, and nobody is started whom the cluster refuses.

use super::{Act, Check};
use crate::{
    product::Product,
    world::{Process, World},
};
use quorate_model::Action;

/// Looks at what runs after every act.
pub(crate) struct Mixed;

impl Check for Mixed {
    fn name(&self) -> (&'static str, &'static str) {
        ("mixed", "S5")
    }
    fn acting(&mut self, act: &Act<'_>, world: &World) -> Option<String> {
        let Action::Start { node, .. } = &act.step.action else { return None };
        let member = &world.members[world.place(node)?];
        let (own, cluster) = (Product::get().line(member.live), world.cluster_line);
        let skips = member.process == Process::Down && own > cluster + 1;
        skips.then(|| {
            format!("{node} is started at line 1.{own}, the cluster has not left 1.{cluster} yet")
        })
    }
    fn acted(&mut self, _act: &Act<'_>, world: &World) -> Option<String> {
        let product = Product::get();
        let runs = world.members.iter().filter_map(|member| match member.process {
            Process::Down => None,
            Process::Starting { .. } => Some(product.line(member.live)),
            Process::Up => Some(product.line(member.runs)),
        });
        let (low, high) =
            runs.fold((u32::MAX, 0), |(low, high), line| (low.min(line), high.max(line)));
        let apart = high.saturating_sub(low) > 1;
        apart.then(|| format!("lines 1.{low} and 1.{high} run beside each other"))
    }
}
