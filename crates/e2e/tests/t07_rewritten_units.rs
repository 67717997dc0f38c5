//! T07 and T69 on whole Debian machines: flags that a unit gets through its environment file are refused before anybody stops,
//! brought over where the policy allows it, and come back byte for byte; what somebody changed meanwhile is left as it is.

use quorate_e2e::{finish, hosts::HostBed};
use std::time::Duration;

const DEFAULTS: &str = "/etc/default/etcd";
/// Three members restart and elect within a second each; a busy machine gets more.
const SERVE_LIMIT: Duration = Duration::from_secs(30);

#[test]
fn t07_flags_of_a_unit_are_brought_over_and_come_back() {
    let bed = HostBed::etcd("3.4.23");
    let names = ["m1", "m2", "m3"];
    for name in names {
        let words = "sudo sed -i 's/^DAEMON_ARGS=.*/DAEMON_ARGS=\"--debug --log-output=stderr --snapshot-count=5000\"/' /etc/default/etcd && sudo systemctl restart etcd";
        bed.machines.ssh(name, words).expect(0);
        quorate_e2e::until(SERVE_LIMIT, "the member serves again", || {
            bed.machines.ssh(name, "ETCDCTL_API=3 etcdctl endpoint health").code == 0
        });
    }
    let held = |name: &str| bed.machines.says(name, &format!("cat {DEFAULTS}"));
    let before = names.map(held);
    let pids = names.map(|name| bed.machines.says(name, "systemctl show -p MainPID --value etcd"));

    // Settings are people's until the policy says otherwise, and the refusal names them.
    let refused = bed.quorate(&["plan", bed.name(), "--to", "3.5.16"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    refused.says(&["m3 runs with --debug", "--log-output=stderr", "rewrite_config: true"]);

    bed.limit(&["soak_secs: 2", "good_looks: 2", "baseline_secs: 1", "rewrite_config: true"]);
    let plan = bed.plan("3.5.16", &[]).display().to_string();
    // Somebody else was there between the plan and the run.
    bed.machines.ssh("m2", &format!("echo '# mine' | sudo tee -a {DEFAULTS} >/dev/null")).expect(0);
    let stale = bed.quorate(&["apply", "--yes", &plan]);
    assert_ne!(stale.code, 0, "{stale:?}");
    assert!(stale.err.contains("m2 has another configuration file than it had"), "{}", stale.err);
    assert_eq!(
        names.map(|name| bed.machines.says(name, "systemctl show -p MainPID --value etcd")),
        pids,
        "nobody was stopped"
    );

    // One member has moved: the others still say the old words, and it says them again after the way back.
    bed.plan("3.5.16", &[]);
    let upgrade = ["upgrade", bed.name(), "--to", "3.5.16", "--yes", "--no-probe"];
    let run = bed.spawn(&upgrade);
    bed.wait_for_start(Duration::from_secs(90), ".soak");
    bed.quorate(&["run", "pause"]).expect(0);
    finish(run).expect(3);
    let moved =
        names.iter().zip(&names.map(held)).filter(|(_, text)| text.contains("log-outputs")).count();
    assert_eq!(moved, 1);
    let paused = bed.runs()[0].run.to_string();
    bed.quorate(&["rollback", &paused, "--yes", "--no-probe"]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.4.23".to_owned()); 3]);
    let mine = format!("{}\n# mine", before[1]);
    assert_eq!(names.map(held), [before[0].clone(), mine, before[2].clone()], "byte for byte");

    bed.quorate(&upgrade[..5]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    assert_eq!(bed.report()["client"]["writes_lost"], 0);
    for name in names {
        let words = bed.machines.says(
            name,
            "sudo cat /proc/$(systemctl show -p MainPID --value etcd)/cmdline | tr '\\0' ' '",
        );
        assert!(words.contains("--log-outputs=stderr --snapshot-count=5000"), "{words}");
        assert!(words.contains("--log-level=debug") && !words.contains("--debug"), "{words}");
    }
    assert!(held("m2").ends_with("# mine"), "what somebody wrote stays: {}", held("m2"));
}
