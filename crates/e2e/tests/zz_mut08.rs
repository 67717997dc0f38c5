//! T08: the one-way door is marked in the plan and in the run book, a verified backup comes before it, and a person must
//! say yes to it, from whatever terminal.

use quorate_e2e::{Bed, ask::started, finish};
use quorate_model::RunEvent;
use serde_json::Value;
use std::{fs, time::Duration};

fn steps(plan: &Value) -> Vec<&Value> {
    let waves =
        plan["hops"].as_array().unwrap().iter().flat_map(|hop| hop["waves"].as_array().unwrap());
    waves.flat_map(|wave| wave["steps"].as_array().unwrap()).collect()
}

#[test]
fn t08_a_one_way_door_is_marked_backed_up_and_asked_about() {
    let bed = Bed::up("3.3.25", &[]);
    bed.quick();
    let book = bed.scratch().join("book.md");
    let file = bed.plan("3.4.23", &["--runbook", &book.display().to_string()]);
    let plan: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(plan["hops"][0]["one_way"], "last-member");
    let steps = steps(&plan);
    let place = |what: &str, found: &dyn Fn(&Value) -> bool| {
        steps.iter().position(|step| found(step)).unwrap_or_else(|| panic!("no {what}"))
    };
    let go = place("go", &|step| step["role"] == "go");
    let door = place("one-way step", &|step| step["one_way"] == true && step["role"] != "go");
    assert_eq!(steps[go]["needs_approval"], true);
    assert!(place("verified backup", &|step| step["role"] == "verify") < go && go < door);
    let moves = steps.iter().filter(|step| step["role"] == "stop").count();
    let before = steps[..door].iter().filter(|step| step["role"] == "stop").count();
    assert_eq!(
        (moves, before),
        (3, 3),
        "the door closes with the last member's start, after its stop"
    );
    let book = fs::read_to_string(book).unwrap().to_lowercase();
    assert!(book.contains("one-way"), "the run book does not mark the door:\n{book}");

    // Nobody says yes: the run waits before the last member.
    let last = steps[door]["node"].as_str().unwrap().to_owned();
    let pid = bed.live_pid(&last);
    let run = bed.spawn(&["apply", &file.display().to_string(), "--no-probe", "--yes"]);
    let asked = bed.wait_for(Duration::from_secs(120), "the question before the door", |event| {
        matches!(event, RunEvent::AskedApproval { .. })
    });
    let RunEvent::AskedApproval { step, .. } = &asked.event else { unreachable!() };
    assert_eq!(step.as_str(), steps[go]["id"].as_str().unwrap());
    let shown = bed.quorate(&["run", "show"]).expect(0).out;
    assert!(shown.contains("approve"), "`run show` does not say who must act:\n{shown}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(bed.live_pid(&last), pid, "the last member was stopped without a yes");
    assert!(bed.releases().contains(&Some("3.3.25".to_owned())));
    bed.quorate(&["run", "approve"]).expect(0).says(&["is approved"]);
    finish(run).expect(0).says(&["quorate run approve"]);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);

    let journal = bed.journal();
    let at = |what: &str, holds: &dyn Fn(&RunEvent) -> bool| {
        journal
            .iter()
            .find(|recorded| holds(&recorded.event))
            .map(|recorded| recorded.seq)
            .unwrap_or_else(|| panic!("no {what}"))
    };
    let proved = at("verified backup", &|event| {
        matches!(event, RunEvent::BackedUp { verified: Some(_), .. })
    });
    let yes = at(
        "yes",
        &|event| matches!(event, RunEvent::Approved { by, .. } if by.starts_with("anna@") && !by.contains("--yes")),
    );
    let closed = at(
        "door",
        &|event| matches!(event, RunEvent::Started { step, .. } if step.as_str() == steps[door]["id"].as_str().unwrap()),
    );
    assert!(proved < yes && yes < closed);
    assert_eq!(started(&journal).iter().filter(|step| step.ends_with(".stop")).count(), 3);
}
