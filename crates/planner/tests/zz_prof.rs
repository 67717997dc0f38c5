//! x
mod support;
use quorate_planner::*;
use support::*;
use std::time::Instant;
#[test]
fn prof() {
    let w = world(3, "1.0.5");
    let Planned::Ready(p) = w.plan("1.2.3") else { panic!() };
    let n = 300;
    let t = |name: &str, f: &mut dyn FnMut()| { let b = Instant::now(); for _ in 0..n { f(); } eprintln!("{name}: {:?}", b.elapsed() / n); };
    t("plan", &mut || { w.plan("1.2.3"); });
    t("plan_digest", &mut || { digest::plan_digest(&p); });
    t("json", &mut || { serde_json::to_vec(&p).unwrap(); });
    eprintln!("bytes {}", serde_json::to_vec(&p).unwrap().len());
    t("obs_digest", &mut || { digest::observation_digest(&w.seen); });
    let (a, b) = (release("1.0.5"), release("1.2.3"));
    let hand: Vec<_> = w.artifacts.iter().map(|a| a.release.clone()).collect();
    t("path", &mut || { path(keeper(), &PathRequest { available: Some(&hand), observation: Some(&w.seen), ..PathRequest::on_paper(&a, &b) }); });
    t("scope", &mut || { quorate_packs::eval::Scope::cluster(keeper(), &w.seen, None, None); });
    let s = quorate_packs::eval::Scope::cluster(keeper(), &w.seen, None, None);
    t("with_node", &mut || { std::hint::black_box(s.with_node(&"a".into())); });
    t("holds", &mut || { keeper().holds("node.lag <= 100", &s.with_node(&"a".into())); });
    let ctx = quorate_packs::template_value(&serde_json::json!({"endpoints": {"client": "x"}, "target": {"name": "b"}}));
    t("ctx", &mut || { quorate_packs::template_value(&serde_json::json!({"endpoints": {"client": "x"}, "target": {"name": "b"}})); });
    t("render", &mut || { keeper().render("{{ endpoints.client }}/status", &ctx).unwrap(); });
    t("check", &mut || { quorate_checker::check(&p); });
    t("clone", &mut || { std::hint::black_box(p.clone()); });
}
