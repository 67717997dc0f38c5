//! T09: what applications need of their cluster keeps it from releases that do not give it, and lets it go once they are ready.

use quorate_e2e::Bed;
use std::fs;

/// Declares one application, in the place of what was declared before.
fn declare(bed: &Bed, original: &str, application: &str) {
    let head = "    environment: lab\n";
    assert!(original.contains(head), "the fleet file has another form: {original}");
    let with = format!("{head}    dependants:\n      - {application}\n");
    fs::write(bed.fleet(), original.replacen(head, &with, 1)).expect("the fleet file");
}

#[test]
fn t09_a_cluster_stays_on_releases_that_its_applications_work_with() {
    let bed = Bed::up("3.3.25", &[]);
    let original = fs::read_to_string(bed.fleet()).expect("the fleet file");
    let pids = bed.live_pids();
    let asked = |application: &str, words: &[&str]| {
        declare(&bed, &original, application);
        bed.quorate(&[&["plan", bed.name(), "--to", "3.4.23"], words].concat())
    };
    // Nothing lies in the v2 store, so without an application that says so nobody would know.
    bed.quorate(&["plan", bed.name(), "--to", "3.4.23"]).expect(0);
    asked("{name: old, needs: [v2-api]}", &[]).expect(3).says(&["E12", "v2 API"]);
    asked("{name: old, works_with: '<3.4'}", &[]).expect(3).says(&[
        "dependant:old",
        "old works with <3.4",
        "works_with",
    ]);
    let quorum = "{name: old, version: 1.8.4, requires: [{cluster: '>=3.4', version: '>=1.9', because: 1.8 flaps}]}";
    asked(quorum, &[]).expect(3).says(&["old must be >=1.9", "because 1.8 flaps", "1.8.4 runs"]);
    asked("{name: old, needs: [v3-api]}", &[]).expect(1).says(&["unknown-need", "v2-api"]);
    assert_eq!(bed.live_pids(), pids, "nothing was touched");
    // A plan that was made before somebody declared the application is not applied either.
    fs::write(bed.fleet(), &original).expect("the fleet file");
    let plan = bed.plan("3.4.23", &[]).display().to_string();
    declare(&bed, &original, "{name: old, works_with: '<3.4'}");
    bed.quorate(&["apply", &plan, "--yes"])
        .expect(3)
        .says(&["is older than the cluster", "old does not work with 3.4.23"]);
    assert_eq!(bed.live_pids(), pids, "nothing was touched");
    // The application is brought to where it must be, or the cluster is made to give what it needs.
    asked(&quorum.replace("1.8.4", "1.9.0"), &[]).expect(0);
    asked("{name: old, needs: [v2-api]}", &["--rewrite-config"]).expect(0);
    bed.quick();
    let words =
        ["upgrade", bed.name(), "--to", "3.4.23", "--rewrite-config", "--yes", "--no-probe"];
    bed.quorate(&words).expect(0);
    bed.ctl_v2(&bed.node(1), &["set", "/app/k", "after"]);
    assert_eq!(bed.ctl_v2(&bed.node(3), &["get", "/app/k"]), "after", "3.4 answers the v2 API");
}
