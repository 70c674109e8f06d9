//! `tagship-sim`: thousands of days an hour, each of which tries to break a rule.

use clap::Parser;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tagship_sim::chance;
use tagship_sim::day::Day;
use tagship_sim::explore;
use tagship_sim::mistake::Mistake;
use tagship_sim::plan::Plan;
use tagship_sim::story::stories;

/// Lives virtual days and checks the rules of safety at every instant.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many random days.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first day's seed.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// One day only.
    #[arg(long)]
    seed: Option<u64>,
    /// Tell what happens.
    #[arg(long)]
    trace: bool,
    /// A canonical story instead of random days.
    #[arg(long)]
    story: Option<String>,
    /// With faults at these calls: `17=Crash,20=Lost`.
    #[arg(long)]
    faults: Option<String>,
    /// Every story with every fault at every call.
    #[arg(long)]
    exhaustive: bool,
    /// Planted mistakes: how soon each is found.
    #[arg(long)]
    mistakes: bool,
}

fn live(name: &str, plan: Plan, trace: bool) {
    let began = Instant::now();
    let mut day = Day::new(plan, trace);
    day.live();
    for line in &day.story {
        println!("{line}");
    }
    println!("== {name}: {} calls, {} effects, {:?}", day.calls_made, day.effects, began.elapsed());
    for end in day.ends() {
        println!("   {end}");
    }
    for violation in &day.checks.violations {
        println!("   VIOLATION {violation:?}");
    }
}

fn fault(text: &str) -> tagship_sim::plan::Fault {
    use tagship::Kind::*;
    use tagship_sim::plan::Fault::*;
    match text {
        "Crash" => Crash,
        "CrashAfter" => CrashAfter,
        "Late" => Late(10_000),
        "Lost" => Lost,
        "Unavailable" => Refuse(Unavailable),
        "Conflict" => Refuse(Conflict),
        "Denied" => Refuse(Denied),
        "Capacity" => Refuse(Capacity),
        other => panic!("no fault {other}"),
    }
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        return live(&format!("seed {seed}"), chance::plan(seed, None), arguments.trace);
    }
    if arguments.story.is_some() || arguments.exhaustive {
        for mut story in stories() {
            if arguments.story.as_deref().is_some_and(|name| name != "all" && name != story.name) {
                continue;
            }
            if !arguments.exhaustive {
                for one in arguments.faults.iter().flat_map(|faults| faults.split(',')) {
                    let (call, name) = one.split_once('=').expect("call=fault");
                    story.plan.injected.insert(call.parse().expect("a number"), fault(name));
                }
                live(story.name, story.plan, arguments.trace);
                continue;
            }
            let began = Instant::now();
            let explored = explore::single(&story);
            println!(
                "== {}: {} days, {} findings, {:?}",
                story.name,
                explored.days,
                explored.findings.len(),
                began.elapsed()
            );
            for finding in explored.findings.iter().take(12) {
                println!("   {:?} {:?} {:?}", finding.injected, finding.violations, finding.ends);
            }
        }
        return;
    }
    if arguments.mistakes {
        for mistake in Mistake::ALL {
            let found = (arguments.first_seed..arguments.first_seed + arguments.seeds).find_map(|seed| {
                let mut day = Day::new(chance::plan(seed, Some(mistake)), false);
                day.live();
                day.checks.violations.into_iter().next().map(|violation| (seed, violation))
            });
            match found {
                Some((seed, first)) => println!("{mistake:?}: seed {seed}, rule {}: {}", first.rule, first.what),
                None => println!("{mistake:?}: NOT FOUND"),
            }
        }
        return;
    }
    let next = AtomicU64::new(arguments.first_seed);
    let end = arguments.first_seed + arguments.seeds;
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut found: Vec<(u64, Vec<tagship_sim::checks::Violation>)> = Vec::new();
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut mine = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            return mine;
                        }
                        let mut day = Day::new(chance::plan(seed, None), false);
                        day.live();
                        let outcomes = day.outcomes();
                        mine.push((seed, day.checks.violations, day.faults, outcomes));
                    }
                })
            })
            .collect();
        for worker in workers {
            for (seed, violations, of_day, ended) in worker.join().expect("a day doesn't panic") {
                of_day.into_iter().for_each(|(fault, n)| *faults.entry(fault).or_default() += n);
                ended.into_iter().for_each(|(how, n)| *outcomes.entry(how).or_default() += n);
                if !violations.is_empty() {
                    found.push((seed, violations));
                }
            }
        }
    });
    found.sort_by_key(|(seed, _)| *seed);
    for (seed, violations) in &found {
        println!("seed {seed}:");
        for violation in violations {
            println!("   rule {} at {}: {}", violation.rule, tagship_sim::past::clock(violation.at), violation.what);
        }
    }
    println!("{} seeds in {:?}; {} with violations", arguments.seeds, began.elapsed(), found.len());
    println!("outcomes {outcomes:?}\nfaults {faults:?}");
}
