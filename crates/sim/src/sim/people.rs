//! What happens when a controller is gone: somebody comes back, or somebody else comes, until the cluster has arrived.

use super::{Event, SESSIONS_MAX, Sim};
use crate::{
    controller::{Controller, Ending, Life},
    operator::Session,
    outcome::End,
    product::Product,
    scenario::SecondOperator,
    world::Process,
};
use quorate_model::RunEnd;
use quorate_store::Store;

impl Sim {
    pub(super) fn dies(&mut self, index: usize) {
        self.say(|_| format!("c{index} dies"));
        self.controllers[index].life = Life::Dead;
        let after = self.chance.between(500, 20_000);
        let break_held = self.chance.percent(50);
        self.return_after(after, break_held);
    }

    pub(super) fn leaves(&mut self, index: usize, ending: Ending) {
        self.say(|_| format!("c{index} leaves: {ending:?}"));
        let _ = self.store.release_lease(&self.controllers[index].lease);
        if let Ending::Over(RunEnd::Halted { hold }) = &ending {
            self.last_hold = Some((hold.code.clone(), hold.text.clone()));
            if hold.text.trim().is_empty() {
                self.end = Some(End::Stuck {
                    text: format!("a run halted ({}) without a reason", hold.code),
                });
            }
        }
        self.controllers[index].life = Life::Left(ending);
        let after = self.chance.between(1_000, 8_000);
        self.return_after(after, false);
    }

    /// Somebody comes back to a cluster that nobody works on: takes the run up, or plans anew.
    pub(super) fn someone_returns(&mut self, break_held: bool) {
        self.return_due = false;
        if self.controllers.iter().any(Controller::is_working) || self.end.is_some() {
            return;
        }
        if self.world.all_at(self.target) && !self.newest_run_is_open() {
            self.end = Some(End::Converged);
            return;
        }
        self.sessions += u32::from(self.calm);
        if self.sessions > SESSIONS_MAX {
            self.end = Some(self.verdict("people gave up"));
            return;
        }
        let died = self.controllers.last().is_some_and(|c| c.life == Life::Dead);
        let take_up = died || self.chance.percent(50);
        self.say(|_| {
            format!("somebody returns to {}", if take_up { "resume" } else { "plan anew" })
        });
        let session =
            if take_up { self.resume("anna", break_held) } else { self.begin("anna", break_held) };
        self.after_session(session);
    }

    pub(super) fn second_comes(&mut self, second: SecondOperator, tries: u32) {
        if self.end.is_some() {
            return;
        }
        self.say(|_| format!("a second person comes: {second:?}"));
        let session = if second.own_plan {
            self.begin("bert", second.breaks_lease)
        } else {
            self.resume("bert", second.breaks_lease)
        };
        match session {
            Session::Held if tries < 20 => self.after(3_000, Event::Second(second, tries + 1)),
            Session::Held | Session::NotNow { .. } | Session::NothingToDo | Session::Working => {}
            Session::Broken(text) => self.end = Some(End::Stuck { text }),
        }
    }

    pub(super) fn after_session(&mut self, session: Session) {
        if !matches!(session, Session::Working) {
            self.say(|_| format!("no run: {session:?}"));
        }
        match session {
            Session::Working => {}
            Session::Held => self.return_after(3_000, false),
            Session::Broken(text) => self.end = Some(End::Stuck { text }),
            Session::NothingToDo if self.world.all_at(self.target) => {
                self.end = Some(End::Converged)
            }
            Session::NothingToDo if self.sessions >= SESSIONS_MAX => {
                let text = format!("there is nothing to do, they say, but {}", self.what_is_up());
                self.end = Some(End::Stuck { text });
            }
            Session::NothingToDo => {
                if self.somebody_lies_down() {
                    let text = format!(
                        "nothing is to be done, the planner says, but {}",
                        self.what_is_up()
                    );
                    self.remarks.push(text);
                }
                self.return_after(5_000, false);
            }
            Session::NotNow { text, .. } if self.calm && self.sessions >= SESSIONS_MAX => {
                self.end = Some(End::Refused { text });
            }
            Session::NotNow { .. } => self.return_after(10_000, false),
        }
    }

    /// A member that the controller can reach is plainly not running.
    pub(super) fn somebody_lies_down(&self) -> bool {
        self.world.members.iter().any(|member| !member.cut && member.process == Process::Down)
    }

    /// What is said when nothing more will happen.
    pub(super) fn verdict(&self, because: &str) -> End {
        if self.world.all_at(self.target) {
            return End::Converged;
        }
        match &self.last_hold {
            Some((code, text)) => End::Halted { code: code.clone(), text: text.clone() },
            None => End::Stuck { text: format!("{because}: {}", self.what_is_up()) },
        }
    }

    pub(super) fn what_is_up(&self) -> String {
        let members = self.world.members.iter().map(|member| {
            let release = Product::get()
                .releases
                .get(member.runs)
                .map(ToString::to_string)
                .unwrap_or_default();
            format!("{} {release} {:?} lag {}", member.name, member.process, member.lag())
        });
        let phase = self.controllers.iter().rev().find(|c| c.is_working()).map(|c| {
            let step = c.engine.current().map(|step| step.id.to_string()).unwrap_or_default();
            format!("{step} {:?}", c.engine.phase())
        });
        format!(
            "{}; {}",
            members.collect::<Vec<_>>().join(", "),
            phase.unwrap_or_else(|| "nobody works".into())
        )
    }
}
