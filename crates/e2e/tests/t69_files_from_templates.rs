//! T69: a configuration file is made from a template for each release; what people changed on a host is merged, or the plan is
//! refused before anybody stops, and no line of theirs is lost.

use quorate_e2e::Bed;
use std::fs;

const TEMPLATE: &str = "# how ours are run
enable-grpc-gateway: true
{% if release is within('<3.5') %}
debug: true
logger: capnslog
{% else %}
log-level: debug
logger: zap
{% endif %}
auth-token: 'simple'
";
const OLD: &str = "# how ours are run
enable-grpc-gateway: true
debug: true
logger: capnslog
auth-token: 'simple'
";
const NEW: &str = "# how ours are run
enable-grpc-gateway: true
log-level: debug
logger: zap
auth-token: 'simple'
";

#[test]
fn t69_what_people_changed_on_a_host_is_merged_or_refused_and_never_lost() {
    let bed = Bed::up("3.4.23", &[]);
    // The addresses of each member, and a line that is nobody else's business, are not the template's.
    bed.by_file(&format!("{OLD}# t0p-s3cret, ask anna\n"));
    bed.quick();
    fs::write(bed.dir().join("etcd.yaml.j2"), TEMPLATE).unwrap();
    let fleet = fs::read_to_string(bed.fleet()).unwrap();
    let path = bed.config_file("{{ node.name }}").display().to_string();
    let config = format!("    config: [{{path: \"{path}\", template: etcd.yaml.j2}}]\n");
    let head = "    environment: lab\n";
    assert!(fleet.contains(head), "{fleet}");
    fs::write(bed.fleet(), fleet.replace(head, &format!("{head}{config}"))).unwrap();
    let read = |node: String| fs::read_to_string(bed.config_file(&node)).unwrap();
    let texts = || bed.nodes().into_iter().map(read).collect::<Vec<_>>();
    let before = texts();

    // The template changes a line that somebody has changed on one host.
    let second = bed.config_file(&bed.node(2));
    fs::write(&second, before[1].replace("debug: true", "debug: false # quieter")).unwrap();
    let pids = bed.live_pids();
    bed.quorate(&["upgrade", bed.name(), "--to", "3.5.16", "--yes"]).expect(3).says(&[
        "Q0009",
        &bed.node(2),
        "line 3 was written by people where the template changes, too",
        "etcd.yaml.j2",
    ]);
    assert_eq!(bed.live_pids(), pids, "a member was stopped");
    assert!(fs::read_to_string(&second).unwrap().contains("debug: false # quieter"));

    // Elsewhere it stays.
    fs::write(&second, format!("# mine\n{}", before[1])).unwrap();
    let plan = bed.plan("3.5.16", &[]);
    let text = fs::read_to_string(&plan).unwrap();
    assert!(!text.contains("t0p-s3cret"), "the plan holds lines of the template alone");
    assert!(text.contains("+ log-level: debug") && text.contains("- logger: capnslog"));
    bed.quorate(&["apply", "--yes", "--no-probe", &plan.display().to_string()]).expect(0);
    assert_eq!(bed.releases(), vec![Some("3.5.16".to_owned()); 3]);
    let mut expected: Vec<String> = before.iter().map(|text| text.replacen(OLD, NEW, 1)).collect();
    expected[1].insert_str(0, "# mine\n");
    assert_eq!(texts(), expected);

    // A template that cannot be read or rendered is told with its place, and nothing is looked at.
    fs::write(bed.dir().join("etcd.yaml.j2"), "a: 1\nb: {{ node.nmae\n").unwrap();
    bed.quorate(&["detect"]).expect(1).says(&["etcd.yaml.j2", "line 2"]);
}
