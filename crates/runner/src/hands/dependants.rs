//! Applications that live by the cluster: stopped and started on their own hosts, and looked at before anybody counts on it.

use super::{
    call::{finished, first_line},
    live::LiveHands,
};
use futures::future::join_all;
use quorate_engine::Verdict;
use quorate_model::{
    Action, DEPENDANTS_STOPPED, DependantName, Host, HostAct, Outcome, Step, Unsafe,
};
use quorate_transport::{Answer, Command};
use std::time::{Duration, Instant};

/// One look at an application: what answers at all answers within that.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// From one look to the next, as for a member's gate.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn line(text: &str) -> Command {
    Command::new(["sh", "-c", text].map(str::to_owned))
}

impl LiveHands {
    /// Does it, and looks until it is seen.
    pub(super) async fn handle_dependant(
        &self,
        dependant: &DependantName,
        host: &Host,
        act: &HostAct,
    ) -> Outcome {
        let began = Instant::now();
        let way = (self.parts.hosts)(host);
        match finished(way.as_ref(), &line(&act.run), act.limit).await {
            Answer::Done(_) => {}
            Answer::Failed(because) => {
                return Outcome::Failed { because: format!("{dependant} on {host}: {because}") };
            }
            Answer::Unknown(because) => {
                return Outcome::Unknown { because: format!("{dependant} on {host}: {because}") };
            }
        }
        loop {
            let not_yet = match self.dependant_seen(host, act).await {
                Answer::Done(None) => return Outcome::Succeeded { note: None },
                Answer::Done(Some(not_yet)) => not_yet,
                Answer::Failed(because) | Answer::Unknown(because) => because,
            };
            if began.elapsed() >= act.limit {
                let limit = act.limit.as_secs();
                let because = format!(
                    "{dependant} on {host} was not seen within {limit} s: `{}` says {not_yet}",
                    act.seen
                );
                return Outcome::Failed { because };
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The application whose start is owed for this key.
    pub(super) fn stands_still(&self, key: &str) -> Option<(&DependantName, &Host, &HostAct)> {
        let steps = self.plan().hops.iter().flat_map(|hop| &hop.waves).flat_map(|wave| &wave.steps);
        steps.into_iter().find_map(|step| match &step.action {
            Action::StandStill { key: own, dependant, host, start, .. } if own == key => {
                Some((dependant, host, start))
            }
            _ => None,
        })
    }

    /// Why it is not seen yet; none once it is.
    pub(super) async fn dependant_seen(
        &self,
        host: &Host,
        act: &HostAct,
    ) -> Answer<Option<String>> {
        let way = (self.parts.hosts)(host);
        way.run(&line(&act.seen), LOOK_LIMIT).await.map(|output| {
            let said = || {
                let (complaint, said) = (output.complaint(), first_line(&output.text()));
                let told = [complaint, said].into_iter().find(|text| !text.is_empty());
                told.unwrap_or_else(|| "nothing".to_owned())
            };
            (!output.ok()).then(said)
        })
    }

    /// Why nobody may be stopped: an application that was stopped has come back, or nobody can tell. None when nothing is asked.
    pub(super) async fn dependants_refused(&self, step: &Step) -> Option<Verdict> {
        let asked =
            |one: &quorate_model::Condition| one.cel.is_empty() && one.name == DEPENDANTS_STOPPED;
        step.precheck.iter().find(|one| asked(one))?;
        let node = step.node.as_ref()?;
        let all = self.plan().dependants.iter().flat_map(|one| {
            let runs = one.runs.iter();
            runs.flat_map(move |runs| {
                runs.hosts.iter().map(move |host| (&one.name, host, &runs.stop))
            })
        });
        let looks = all.map(|(name, host, act)| async move {
            (format!("{name} on {host}"), self.dependant_seen(host, act).await)
        });
        for (who, seen) in join_all(looks).await {
            match seen {
                Answer::Done(None) => {}
                Answer::Done(Some(said)) => {
                    // It stays so, also when the next look finds it gone again.
                    let text = format!(
                        "{who} did not stand still ({said}), and the copy lacks what it has written since; keep it from starting"
                    );
                    let _ = self.came_back.set(text);
                }
                Answer::Failed(because) | Answer::Unknown(because) => {
                    let what = format!("whether {who} stands still: {because}");
                    return Some(Verdict::Unsafe(Unsafe::CannotSee { node: node.clone(), what }));
                }
            }
        }
        let text = self.came_back.get()?.clone();
        let (node, rule) = (node.clone(), DEPENDANTS_STOPPED.to_owned());
        Some(Verdict::Unsafe(Unsafe::Pack { node, rule, text }))
    }
}
