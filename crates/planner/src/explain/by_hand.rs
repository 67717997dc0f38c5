//! What a person types instead of a step; what cannot be typed is a comment.

use quorate_model::{Action, ArtifactRef, NodeName, Plan, ProcessSeen};

/// Commands and requests for a step, a line each; none when looking is all there is to do.
pub(super) fn lines(plan: &Plan, action: &Action) -> Vec<String> {
    match action {
        Action::Look | Action::Confirm { .. } => Vec::new(),
        Action::Stage { node, artifact } => stage(plan, node, artifact),
        Action::Backup { backup } => vec![backup.save.by_hand.clone()],
        Action::Verify { backup } => vec![format!("# {}", backup.verify.by_hand)],
        Action::Call { call } => vec![call.by_hand.clone()],
        Action::TempSet { call, put_back, .. } => {
            vec![call.by_hand.clone(), format!("# later, to put it back: {}", put_back.by_hand)]
        }
        Action::TempPutBack { key } => vec![format!("# put back `{key}` as noted when it was set")],
        Action::Stop { node } => vec![stop(plan, node)],
        Action::Swap { node, from, to, config } => {
            let mut lines: Vec<String> = to
                .files
                .iter()
                .flat_map(|file| {
                    let live = live_path(plan, node, &file.name);
                    [
                        format!("mv {live} {live}-{from}"),
                        format!("cp -p {live}-{} {live}", to.release),
                        format!("sha256sum {live}   # {}", file.sha256),
                    ]
                })
                .collect();
            let files = config.iter().flat_map(|config| &config.files);
            lines.extend(files.map(|file| format!("# in the file {}:", file.path)));
            lines.extend(
                config
                    .iter()
                    .flat_map(|config| &config.diff)
                    .map(|change| format!("# setting: {change}")),
            );
            lines
        }
        Action::Start { node, .. } => vec![start(plan, node)],
        Action::Restore { call, .. } | Action::Membership { call, .. } => {
            vec![call.by_hand.clone()]
        }
        Action::SetAside { node } => {
            vec![format!("# move the data folder of {node} aside; do not delete it")]
        }
        Action::List { node, out: Some(_) } => {
            vec![format!("# take {node} out of balancers and of the endpoints that clients get")]
        }
        Action::List { node, out: None } => {
            vec![format!("# put {node} back into balancers and the endpoints that clients get")]
        }
    }
}

fn process<'a>(plan: &'a Plan, node: &NodeName) -> Option<&'a ProcessSeen> {
    plan.observed.nodes.iter().find(|seen| seen.name == *node)?.process.as_ref()
}

/// Beside the binary that runs now; a name alone when no process was seen.
fn live_path(plan: &Plan, node: &NodeName, file: &str) -> String {
    let folder = process(plan, node).and_then(|process| process.binary.parent());
    folder.map_or_else(|| file.to_owned(), |folder| folder.join(file).display().to_string())
}

fn stage(plan: &Plan, node: &NodeName, artifact: &ArtifactRef) -> Vec<String> {
    let stage = |file: &quorate_model::ArtifactFile| {
        let live = live_path(plan, node, &file.name);
        format!(
            "# bring {} {} to {live}-{}; sha256 {}",
            artifact.pack, file.name, artifact.release, file.sha256
        )
    };
    artifact.files.iter().map(stage).collect()
}

fn stop(plan: &Plan, node: &NodeName) -> String {
    match process(plan, node) {
        Some(process) => {
            format!("kill -TERM {}   # its process when the plan was made", process.pid)
        }
        None => format!("# stop the service of {node}, politely first"),
    }
}

fn start(plan: &Plan, node: &NodeName) -> String {
    match process(plan, node) {
        Some(process) => process.argv.join(" "),
        None => format!("# start the service of {node}"),
    }
}
