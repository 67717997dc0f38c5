//! Taking a lab away deletes data: it asks, and without anybody to ask it needs the answer beforehand.

use quorate_e2e::Bed;

#[test]
fn a_lab_is_not_deleted_unasked() {
    let bed = Bed::up("3.4.23", &[]);
    bed.put("key", "value");
    let pids = bed.live_pids();
    bed.quorate(&["lab", "down", bed.name()]).expect(3).says(&[
        "nobody is there to say yes",
        bed.name(),
        "--yes",
    ]);
    assert_eq!(bed.live_pids(), pids, "no member was stopped");
    assert_eq!(bed.get(&bed.node(1), "key"), "value");
    bed.quorate(&["lab", "down", "no-such-lab"]).expect(1).says(&["no-such-lab"]);
}
