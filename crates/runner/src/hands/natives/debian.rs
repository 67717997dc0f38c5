//! Packages on a member's host: kept from starting services while a run is at the member, and let again.

use super::{super::call::Said, Asked};
use quorate_hosts::swap::packages;
use quorate_model::ServiceSpec;
use quorate_transport::Answer;

pub(super) async fn hold_back(asked: Asked<'_>) -> Said {
    let (unit, transport) = match (asked.arg("unit"), asked.hands.transport(asked.node)) {
        (Ok(unit), Some(transport)) => (unit, transport),
        (Err(because), _) => return Answer::Failed(because),
        (_, None) => return Answer::Failed(format!("there is no way to {}", asked.node)),
    };
    let service = asked.hands.node(asked.node).and_then(|node| node.service.as_ref());
    let own = service.map_or(&[][..], ServiceSpec::packages);
    let cluster = &asked.hands.parts.cluster.name;
    packages::hold_back(transport.as_ref(), unit, own, cluster, &asked.hands.plan().digest)
        .await
        .map(|()| "held back".to_owned())
}

pub(super) async fn let_go(asked: Asked<'_>) -> Said {
    let Some(transport) = asked.hands.transport(asked.node) else {
        return Answer::Failed(format!("there is no way to {}", asked.node));
    };
    packages::let_go(transport.as_ref(), &asked.hands.parts.cluster.name).await
}
