//! Where a run stands, told from its journal alone.

use quorate_model::{Recorded, RunEnd, RunEvent, RunState, StepId};

/// Where a run stands after these events. Events that say nothing of it may be left out of the slice.
///
/// A resumed run is at work again even after a halt. Approvals that were asked for and not given outlast a pause.
pub fn state_of(journal: &[Recorded]) -> RunState {
    let mut paused: Option<&str> = None;
    let mut asked: Vec<&StepId> = Vec::new();
    let mut end: Option<RunEnd> = None;
    for recorded in journal {
        match &recorded.event {
            RunEvent::Began { .. } | RunEvent::Resumed { .. } => {
                paused = None;
                end = None;
            }
            RunEvent::AskedApproval { step, .. } => {
                asked.retain(|known| *known != step);
                asked.push(step);
            }
            RunEvent::Approved { step, .. } | RunEvent::Finished { step, .. } => {
                asked.retain(|known| *known != step);
            }
            RunEvent::Paused { by } => paused = Some(by),
            RunEvent::Halted { hold } => end = Some(RunEnd::Halted { hold: hold.clone() }),
            RunEvent::Aborted { by, reason } => {
                end = Some(RunEnd::Aborted { by: by.clone(), reason: reason.clone() });
            }
            RunEvent::Succeeded => end = Some(RunEnd::Succeeded),
            RunEvent::WorldSeen { .. }
            | RunEvent::Started { .. }
            | RunEvent::Acted { .. }
            | RunEvent::DoneProbed { .. }
            | RunEvent::Waiting { .. }
            | RunEvent::Overridden { .. }
            | RunEvent::TempSet { .. }
            | RunEvent::PutBack { .. }
            | RunEvent::BackedUp { .. }
            | RunEvent::PauseRequested { .. }
            | RunEvent::AbortRequested { .. }
            | RunEvent::Note { .. }
            | RunEvent::MemberSeen { .. }
            | RunEvent::Client { .. }
            | RunEvent::ClientGap { .. }
            | RunEvent::Baseline { .. }
            | RunEvent::ClientFigures { .. }
            | RunEvent::Floor { .. }
            | RunEvent::LeftBehind { .. }
            | RunEvent::Retried { .. } => {}
        }
    }
    match (end, paused, asked.first()) {
        (Some(end), _, _) => RunState::Ended { end },
        (None, Some(by), _) => RunState::Paused { by: by.to_owned() },
        (None, None, Some(step)) => RunState::AwaitingApproval { step: (*step).clone() },
        (None, None, None) => RunState::Running,
    }
}

/// Names of the events that [`state_of`] reads: a list of runs need not load seconds of client samples.
pub(crate) const TELLING: [&str; 9] = [
    "began",
    "resumed",
    "asked-approval",
    "approved",
    "finished",
    "paused",
    "halted",
    "aborted",
    "succeeded",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_name;
    use jiff::Timestamp;
    use proptest::prelude::*;
    use quorate_model::{Digest, Generation, Hold, Holder, Seq};

    fn holder() -> Holder {
        Holder { who: "anna@control-1".into(), pid: 7 }
    }

    fn event(word: &str) -> RunEvent {
        let by = || "anna".to_owned();
        match word {
            "began" => RunEvent::Began {
                plan: Digest::new("d"),
                cluster: "demo".into(),
                holder: holder(),
                generation: Generation(1),
            },
            "resumed" => RunEvent::Resumed { holder: holder(), generation: Generation(2) },
            "ask" => RunEvent::AskedApproval { step: "go".into(), text: "door".into() },
            "yes" => RunEvent::Approved { step: "go".into(), by: by() },
            "pause?" => RunEvent::PauseRequested { by: by(), reason: "lunch".into() },
            "paused" => RunEvent::Paused { by: by() },
            "note" => RunEvent::Note { by: by(), text: "hm".into() },
            "halted" => RunEvent::Halted {
                hold: Hold { step: None, code: "unsafe".into(), text: "t".into(), hint: None },
            },
            "aborted" => RunEvent::Aborted { by: by(), reason: "r".into() },
            "succeeded" => RunEvent::Succeeded,
            other => panic!("no event for {other}"),
        }
    }

    fn recorded(words: &[&str]) -> Vec<Recorded> {
        let numbered = words.iter().zip(1..);
        numbered
            .map(|(word, seq)| Recorded {
                seq: Seq(seq),
                at: Timestamp::UNIX_EPOCH,
                event: event(word),
            })
            .collect()
    }

    fn check(words: &str, expected: &str) {
        let words: Vec<&str> = words.split_whitespace().collect();
        let state = serde_json::to_string(&state_of(&recorded(&words))).unwrap();
        assert!(state.contains(expected), "{words:?}: {state} does not say {expected}");
    }

    #[test]
    fn the_last_telling_event_counts() {
        check("", r#""running""#);
        check("began note", r#""running""#);
        check("began pause?", r#""running""#);
        check("began pause? paused note", r#""paused","by":"anna""#);
        check("began paused resumed", r#""running""#);
        check("began ask", r#""awaiting-approval","step":"go""#);
        check("began ask yes", r#""running""#);
        check("began ask paused", r#""paused""#);
        check("began ask paused resumed", r#""awaiting-approval""#);
        check("began ask paused yes resumed", r#""running""#);
        check("began halted note", r#""halted""#);
        check("began halted resumed", r#""running""#);
        check("began halted resumed succeeded note", r#""succeeded""#);
        check("began aborted", r#""aborted""#);
    }

    const WORDS: [&str; 10] = [
        "began",
        "resumed",
        "ask",
        "yes",
        "pause?",
        "paused",
        "note",
        "halted",
        "aborted",
        "succeeded",
    ];

    proptest! {
        #[test]
        fn only_telling_events_tell(words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..20)) {
            let all = recorded(&words);
            let mut few = all.clone();
            few.retain(|recorded| TELLING.contains(&event_name(&recorded.event)));
            prop_assert_eq!(state_of(&all), state_of(&few));
        }
    }
}
