//! T04: 3.5.16 from 3.3.25 goes through 3.4; the direct hop is refused with the rule named, although binaries accept it.

use quorate_e2e::Bed;

#[test]
fn t04_never_skips_a_line() {
    let bed = Bed::up("3.3.25", &[]);
    let path = bed.json(&["path", "etcd", "3.3.25", "3.5.16", "--available", "3.4.23,3.5.16"]);
    let stops: Vec<&str> =
        path["hops"].as_array().unwrap().iter().map(|hop| hop["to"].as_str().unwrap()).collect();
    assert_eq!(stops, ["3.4.23", "3.5.16"]);
    let direct = bed
        .quorate(&["--output", "json", "path", "etcd", "3.3.25", "3.5.16", "--available", "3.5.16"])
        .expect(3)
        .json();
    assert_eq!(direct["outcome"], "blocked");
    assert_eq!(direct["refused"][0]["rule"], "E00");
    let plan = bed.plan("3.5.16", &[]);
    let plan: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(plan).unwrap()).unwrap();
    let hops: Vec<&str> =
        plan["hops"].as_array().unwrap().iter().map(|hop| hop["to"].as_str().unwrap()).collect();
    assert_eq!(hops, ["3.4.23", "3.5.16"]);
}
