//! T21 and T22 on whole machines: the controller is killed with SIGKILL in the middle of a stop, of a swap and of a start, and
//! whoever takes the run up repeats nothing. Of two operators the second is refused with the holder's name, whether both
//! share a state folder or not; one who breaks the lease stops the other's run before its next act.

use quorate_e2e::{
    Said,
    ask::{finished, started},
    finish,
    hosts::{HostBed, NAMES},
    until,
};
use quorate_model::{Outcome, Plan, RunEvent};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::{Child, Stdio},
    time::Duration,
};

#[test]
fn t21_t22_a_killed_controller_on_hosts_and_two_operators() {
    let bed = HostBed::etcd("3.4.23");
    bed.limit(&["soak_secs: 0.2", "good_looks: 2", "look_every_secs: 0.2"]);
    bed.ctl("m1", "put k before");
    let file = bed.plan("3.5.16", &[]).display().to_string();
    let order = bed.order(&file);
    let [first, second, third] = [0, 1, 2].map(|at| order[at].as_str());
    bed.stops_at(first, "systemctl", "'stop '*|'start '*");
    bed.stops_at(second, "mv", "*' /usr/bin/etcd'");
    bed.stops_at(third, "systemctl", "'stop '*");
    for name in &order {
        bed.stop_here(name);
    }

    let anna = bed.spawn(&["apply", &file, "--yes", "--no-probe"]);
    bed.has_come(first);
    let run = bed.runs()[0].run.to_string();
    // T22: with the same state folder, and with one that knows nothing of anna's run.
    let pids = bed.unit_pids();
    let words = ["upgrade", bed.name(), "--to", "3.5.16", "--yes", "--no-probe"];
    let bert = bed.command(&words).env("USER", "bert").output().expect("quorate runs");
    Said::from(&bert).expect(3).says(&["Q0010", "anna@", "--break-lease"]);
    let other = bed.quorate_with(&bed.fleet(), &words).expect(3);
    other.says(&["Q0010", "anna@", "--break-lease"]);
    assert_eq!(bed.runs().len(), 1, "no second run was made");
    assert_eq!(bed.unit_pids(), pids, "the second operator touched something");

    // One who takes the cluster away while a server is stopped: that stop ends, and nothing follows it.
    let each = bed.variant("each", |text| {
        text.replace("    policy:\n", "    policy:\n      approve: each\n")
    });
    let own = bed.dir().join("bert.json").display().to_string();
    let asks = ["plan", bed.name(), "--to", "3.5.16", "-o", &own];
    bed.quorate_with(&each, &asks).expect(0);
    let takes = ["apply", &own, "--no-probe", "--break-lease", "anna sleeps"];
    let mut bert = bed.command_with(&each, &takes);
    let bert = bert.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("quorate runs");
    let lease = format!("sudo cat /var/lib/quorate/{}/lease", bed.name());
    until(Duration::from_secs(30), "bert has the cluster", || {
        NAMES.iter().all(|name| bed.machines.says(name, &lease).contains("bert@"))
    });
    bed.go_on(first);
    finish(anna).expect(4).says(&["lease-lost", "bert@"]);
    assert_eq!(bed.starts(first), 1, "{first} was started by a controller without a lease");
    kill(bert);
    let plain = ["run", "resume", &run, "--yes", "--no-probe"];
    bed.quorate(&plain).expect(3).says(&["Q0010", "bert@"]);

    // Killed after the start was begun and before anybody heard of it.
    let resume = [plain.as_slice(), &["--break-lease", "its controller was killed"]].concat();
    bed.stop_here(first);
    let next = bed.spawn(&resume);
    bed.has_come(first);
    kill(next);
    bed.go_on(first);
    bed.quorate(&plain).expect(3).says(&["anna@"]);
    // In the middle of the swap, which stands still for as long as the next controller is at work.
    let next = bed.spawn(&resume);
    bed.has_come(second);
    kill(next);
    bed.machines.says(second, "sudo rm /usr/local/bin/mv");
    // In the middle of the stop, which goes on without anybody.
    let next = bed.spawn(&resume);
    bed.has_come(third);
    kill(next);
    bed.go_on(third);
    bed.quorate(&resume).expect(0);
    bed.go_on(second);

    let plan: Plan = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    each_step_once(&bed, &plan);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    for name in &order {
        assert_eq!(bed.starts(name), 2, "{name} was started once more");
        let live = bed.machines.says(name, "/usr/bin/etcd --version | head -n 1");
        assert!(live.contains("3.5.16"), "{name}: {live}");
        let left =
            bed.machines.says(name, "sudo find /var/lib/quorate -type f 2>/dev/null || true");
        assert_eq!(left, "", "nothing stays on {name}");
        assert_eq!(bed.ctl(name, "get k --print-value-only"), "before");
    }
    assert_eq!(bed.hashes().into_iter().collect::<BTreeSet<_>>().len(), 1);
}

/// Ends a controller as a power cut does.
fn kill(mut controller: Child) {
    if controller.try_wait().expect("a child").is_some() {
        panic!("it has ended by itself: {:?}", finish(controller));
    }
    controller.kill().expect("it lives");
    controller.wait().expect("it ends");
}

/// Every step is over once, in the plan's order; no act succeeded twice, and a member's own acts were begun.
fn each_step_once(bed: &HostBed, plan: &Plan) {
    let journal = bed.journal();
    let steps: Vec<String> = plan
        .hops
        .iter()
        .flat_map(|hop| &hop.waves)
        .flat_map(|wave| &wave.steps)
        .map(|step| step.id.as_str().to_owned())
        .collect();
    let over: Vec<String> = finished(&journal).into_iter().map(|(step, _)| step).collect();
    assert_eq!(over, steps, "every step is over once, in the plan's order");
    let mut succeeded: BTreeMap<&str, u32> = BTreeMap::new();
    for recorded in &journal {
        if let RunEvent::Acted { step, outcome: Outcome::Succeeded { .. }, .. } = &recorded.event {
            *succeeded.entry(step.as_str()).or_default() += 1;
        }
    }
    assert!(succeeded.values().all(|count| *count == 1), "an act succeeded twice: {succeeded:?}");
    let begun: BTreeSet<String> = started(&journal).into_iter().collect();
    for role in [".stop", ".swap", ".start"] {
        for step in steps.iter().filter(|step| step.ends_with(role)) {
            assert!(begun.contains(step), "{step} was skipped");
        }
    }
    let resumed = |event: &RunEvent| matches!(event, RunEvent::Resumed { .. });
    assert_eq!(journal.iter().filter(|one| resumed(&one.event)).count(), 4);
}
