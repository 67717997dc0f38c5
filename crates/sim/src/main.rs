//! Runs seeds of the simulation: `--seeds N --from N` many, `--seed N` one with everything that happened.

use quorate_sim::{End, SimOutcome, run_seed, trace_seed};
use std::{collections::BTreeMap, io::Write as _, process::ExitCode, time::Instant};

/// As the program that is simulated: runs are made of small pieces of memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Without a number: as many as the continuous integration runs.
const SEEDS_DEFAULT: u64 = 200;

struct Wish {
    from: u64,
    seeds: u64,
    only: Option<u64>,
    json: bool,
}

fn wish() -> Result<Wish, String> {
    let mut wish = Wish { from: 0, seeds: SEEDS_DEFAULT, only: None, json: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or(format!("{word} needs a number"))?;
            text.parse::<u64>().map_err(|_| format!("{word} needs a number, not `{text}`"))
        };
        match word.as_str() {
            "--seeds" => wish.seeds = number()?,
            "--from" => wish.from = number()?,
            "--seed" => wish.only = Some(number()?),
            "--json" => wish.json = true,
            other => {
                return Err(format!(
                    "`{other}` is not known: use --seeds N, --from N, --seed N, --json"
                ));
            }
        }
    }
    Ok(wish)
}

fn main() -> ExitCode {
    let wish = match wish() {
        Ok(wish) => wish,
        Err(because) => {
            let _ = writeln!(std::io::stderr(), "error: {because}");
            return ExitCode::from(2);
        }
    };
    let held = match wish.only {
        Some(seed) => one(seed, wish.json),
        None => many(&wish),
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, json: bool) -> bool {
    let (outcome, trace) = trace_seed(seed, None);
    let mut out = std::io::stdout().lock();
    if json {
        let _ = writeln!(out, "{}", serde_json::to_string(&outcome).unwrap_or_default());
    } else {
        trace.iter().for_each(|line| drop(writeln!(out, "{line}")));
        let _ = writeln!(out, "{outcome}");
    }
    outcome.holds()
}

fn many(wish: &Wish) -> bool {
    let began = Instant::now();
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut failed, mut odd) = (0_u64, 0_u64);
    let mut out = std::io::stdout().lock();
    for seed in wish.from..wish.from + wish.seeds {
        let outcome = run_seed(seed);
        *ends.entry(name(&outcome)).or_default() += 1;
        odd += u64::from(!outcome.remarks.is_empty());
        if !outcome.holds() {
            failed += 1;
            let _ = writeln!(out, "{outcome}\n  replay: {}", outcome.command());
        }
    }
    let secs = began.elapsed().as_secs_f64();
    let rate = f64::from(u32::try_from(wish.seeds).unwrap_or(u32::MAX)) / secs.max(f64::EPSILON);
    if wish.json {
        let line = serde_json::json!({
            "seeds": wish.seeds, "from": wish.from, "failed": failed, "odd": odd, "ends": ends, "secs": secs, "rate": rate,
        });
        let _ = writeln!(out, "{line}");
    } else {
        let _ = writeln!(
            out,
            "{} seeds from {}: {failed} failed, {odd} odd; {ends:?}; {secs:.1} s, {rate:.0} a second",
            wish.seeds, wish.from
        );
    }
    failed == 0
}

fn name(outcome: &SimOutcome) -> &'static str {
    match outcome.end {
        End::Converged => "converged",
        End::Halted { .. } => "halted",
        End::Refused { .. } => "refused",
        End::Stuck { .. } => "stuck",
    }
}
