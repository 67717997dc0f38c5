//! What a controller's act does to the world, and what the controller hears of it.
//!
//! Invariant: an act that is reported as failed changed nothing; one whose outcome is unknown may have changed everything.

use super::{Copy, Process, World, member::Staged};
use crate::{
    clock::Millis,
    product::{Product, Rel},
};
use quorate_model::{
    Action, Backup, CallKind, Digest, NodeName, Outcome, RunEvent, Step, StepRole,
};

/// What the network does to an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hurt {
    /// Nothing.
    None,
    /// The request never arrives.
    RequestLost,
    /// It happens, and nobody hears of it.
    ReplyLost,
    /// It is refused for a passing reason.
    Refused,
}

/// What became of an act.
#[derive(Debug)]
pub struct Acted {
    /// What the controller is told.
    pub outcome: Outcome,
    /// Events for the journal.
    pub also: Vec<RunEvent>,
    /// When the answer arrives.
    pub after: Millis,
    /// Whether the world was changed.
    pub happened: bool,
}

impl World {
    /// Carries the step's action out once.
    pub fn act(&mut self, step: &Step, hurt: Hurt) -> Acted {
        let limit = crate::clock::length(step.limit);
        let cut = node_of(&step.action)
            .and_then(|node| self.place(node))
            .is_some_and(|index| self.members[index].cut);
        match hurt {
            Hurt::Refused => return failed("refused for now", 20),
            Hurt::RequestLost => return unknown(limit, false),
            Hurt::None if cut => return unknown(limit, false),
            Hurt::None | Hurt::ReplyLost => {}
        }
        let mut acted = self.carry_out(step);
        self.settle();
        if hurt == Hurt::ReplyLost || cut {
            acted = unknown(limit, acted.happened);
        }
        acted
    }

    fn carry_out(&mut self, step: &Step) -> Acted {
        match &step.action {
            Action::Look | Action::Confirm { .. } => done(0),
            Action::Stage { node, artifact } => match (self.place(node), rel(&artifact.release)) {
                (Some(index), Some(release)) => self.stage(index, release),
                _ => failed("no such member or release", 1),
            },
            Action::Backup { backup } => self.back_up(step, backup),
            Action::Verify { backup } => self.verify(step, backup),
            Action::Call { call } if step.role == StepRole::Handover => match &call.call {
                CallKind::Command { argv, .. } => {
                    self.hand_over(&call.node, argv.last().map(String::as_str))
                }
                CallKind::Http { .. } | CallKind::Native { .. } => failed("not spoken here", 1),
            },
            Action::Call { .. } => done(30),
            Action::TempSet { key, .. } => {
                self.temporary.push(key.clone());
                done(30)
            }
            Action::TempPutBack { key } => {
                self.temporary.retain(|set| set != key);
                done(30)
            }
            Action::Stop { node } => self.on(node, |world, index| world.stop(index)),
            Action::Swap { node, to, .. } => {
                let release = rel(&to.release);
                self.on(node, |world, index| world.swap(index, release))
            }
            Action::Start { node, .. } => self.on(node, |world, index| {
                let now = world.now;
                world.members[index].start(now);
                done(60)
            }),
            Action::Restore { .. } => failed("nothing is restored here", 1),
            Action::Membership { .. } | Action::SetAside { .. } | Action::List { .. } => {
                failed("nobody is taken out here", 1)
            }
            Action::BringBack { .. } | Action::Clear { .. } => failed("nothing lies aside here", 1),
            Action::StandStill { .. } | Action::Switch { .. } => {
                failed("no application lives here", 1)
            }
        }
    }

    fn on(&mut self, node: &NodeName, act: impl FnOnce(&mut Self, usize) -> Acted) -> Acted {
        match self.place(node) {
            Some(index) => act(self, index),
            None => failed("no such member", 1),
        }
    }

    fn stage(&mut self, index: usize, release: Rel) -> Acted {
        let member = &mut self.members[index];
        if member.disk_full {
            return failed("no space left on the disk", 40);
        }
        member.staged.retain(|staged| staged.release != release);
        member.staged.push(Staged { release, damaged: false });
        done(80)
    }

    fn stop(&mut self, index: usize) -> Acted {
        let grace = self.chance.between(20, 400);
        let member = &mut self.members[index];
        if member.process != Process::Down {
            member.down_by_us = true;
        }
        member.stop();
        done(grace)
    }

    /// Whether a swap would take what is staged.
    pub fn takes_staged(&self, index: usize, release: Rel) -> bool {
        let staged = self.members[index].staged.iter().find(|staged| staged.release == release);
        staged.is_some_and(|staged| !staged.damaged || self.trusts_digests)
    }

    fn swap(&mut self, index: usize, release: Option<Rel>) -> Acted {
        let trusting = self.trusts_digests;
        let member = &mut self.members[index];
        let staged = member.staged.iter().find(|staged| Some(staged.release) == release).copied();
        match staged {
            _ if member.disk_full => failed("no space left on the disk", 20),
            None => failed("the artifact is not staged", 5),
            Some(staged) if staged.damaged && !trusting => {
                failed("the staged file has another digest", 30)
            }
            Some(staged) => {
                member.live = staged.release;
                member.live_damaged = staged.damaged;
                done(20)
            }
        }
    }

    fn hand_over(&mut self, from: &NodeName, target: Option<&str>) -> Acted {
        let target =
            target.and_then(|target| self.members.iter().position(|m| m.name.as_str() == target));
        match (self.place(from), target) {
            (Some(from), Some(_)) if self.leader != Some(from) => failed("not the leader", 10),
            (Some(_), Some(to))
                if self.members[to].voter
                    && self.takes_part(to)
                    && self.members[to].caught_up() =>
            {
                self.leader = Some(to);
                self.members[to].lead();
                done(40)
            }
            _ => failed("the target cannot lead", 10),
        }
    }

    fn back_up(&mut self, step: &Step, backup: &Backup) -> Acted {
        let Some(index) = self.place(&backup.node) else { return failed("no such member", 1) };
        if !self.healthy(index) || self.members[index].disk_full {
            return failed("the member gives no copy", 50);
        }
        self.copies.retain(|copy| copy.file != backup.file);
        let release = self.members[index].runs;
        self.copies.push(Copy { file: backup.file.clone(), release, verified: false });
        with_copy(step, backup, None)
    }

    fn verify(&mut self, step: &Step, backup: &Backup) -> Acted {
        match self.copies.iter_mut().find(|copy| copy.file == backup.file) {
            None => failed("there is no such copy", 5),
            Some(copy) => {
                copy.verified = true;
                with_copy(step, backup, Some("every key compared".into()))
            }
        }
    }
}

fn with_copy(step: &Step, backup: &Backup, verified: Option<String>) -> Acted {
    let event = RunEvent::BackedUp {
        step: step.id.clone(),
        file: backup.file.clone(),
        sha256: Digest::new(""),
        size_bytes: 1,
        verified,
    };
    Acted { also: vec![event], ..done(150) }
}

fn rel(release: &quorate_model::Release) -> Option<Rel> {
    Product::get().rel(release)
}

/// The node whose host carries the act out.
pub(crate) fn node_of(action: &Action) -> Option<&NodeName> {
    match action {
        Action::Stage { node, .. }
        | Action::Stop { node }
        | Action::Swap { node, .. }
        | Action::Start { node, .. }
        | Action::Restore { node, .. }
        | Action::Membership { node, .. }
        | Action::SetAside { node }
        | Action::BringBack { node }
        | Action::Clear { node }
        | Action::List { node, .. } => Some(node),
        Action::Backup { backup } | Action::Verify { backup } => Some(&backup.node),
        Action::Call { call } | Action::TempSet { call, .. } => Some(&call.node),
        Action::Look
        | Action::Confirm { .. }
        | Action::TempPutBack { .. }
        | Action::StandStill { .. }
        | Action::Switch { .. } => None,
    }
}

fn done(after: Millis) -> Acted {
    Acted { outcome: Outcome::Succeeded { note: None }, also: Vec::new(), after, happened: true }
}

fn failed(because: &str, after: Millis) -> Acted {
    Acted {
        outcome: Outcome::Failed { because: because.into() },
        also: Vec::new(),
        after,
        happened: false,
    }
}

fn unknown(after: Millis, happened: bool) -> Acted {
    Acted {
        outcome: Outcome::Unknown { because: "no answer in time".into() },
        also: Vec::new(),
        after,
        happened,
    }
}
