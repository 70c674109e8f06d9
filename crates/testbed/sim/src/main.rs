//! `tagship-sim`: thousands of days an hour, each of which tries to break a rule.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use tagship::settings::Shift;
use tagship_sim::chance;
use tagship_sim::coverage::Coverage;
use tagship_sim::day::Day;
use tagship_sim::explore::{self, Explored};
use tagship_sim::limits::Limits;
use tagship_sim::mistake::Mistake;
use tagship_sim::past::clock;
use tagship_sim::report::Report;
use tagship_sim::scale::Scale;
use tagship_sim::story::{Story, steps, stories};

/// Lives virtual days of tagship's planners and checks the rules of safety at every instant.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many random days.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first day's seed.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// One day only.
    #[arg(long)]
    seed: Option<u64>,
    /// Tell what happens on it.
    #[arg(long)]
    trace: bool,
    /// The canonical stories, with every fault at every call, every mishap to every event and every pair of crashes.
    #[arg(long)]
    exhaustive: bool,
    /// Planted mistakes: which seed finds each first.
    #[arg(long)]
    mistakes: bool,
    /// Many services at the same time under one account's limits, and what that costs.
    #[arg(long)]
    scale: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.first_seed..arguments.first_seed.saturating_add(arguments.seeds);
    let sound = match arguments.seed {
        Some(seed) => one(seed, arguments.trace),
        None if arguments.exhaustive => exhaustive(),
        None if arguments.mistakes => mistakes(seeds),
        None if arguments.scale => scale(),
        None => many(seeds),
    };
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Does this to every number, on every processor; what each thread came to.
fn each<T: Default + Send>(numbers: Range<u64>, work: impl Fn(&mut T, u64) + Sync) -> Vec<T> {
    let next = AtomicU64::new(numbers.start);
    let turns = || {
        let mut mine = T::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return mine;
            }
            work(&mut mine, number);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(turns)).collect();
        let ends = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        ends.collect()
    })
}

/// One day, told if asked for.
fn one(seed: u64, trace: bool) -> bool {
    let mut day = Day::new(chance::plan(seed, None), trace);
    day.live();
    let mut violations = day.checks.violations.iter().peekable();
    for line in &day.story {
        while let Some(violation) = violations.next_if(|violation| violation.at < line.at) {
            println!("{}  VIOLATION of rule {}: {}", clock(violation.at), violation.rule, violation.what);
        }
        println!("{line}");
    }
    for violation in violations {
        println!("{}  VIOLATION of rule {}: {}", clock(violation.at), violation.rule, violation.what);
    }
    println!("{}", day.ends().join("\n"));
    let mut report = Report::default();
    report.add(seed, &day);
    println!("{report}");
    report.violated.is_empty()
}

/// Many days.
fn many(seeds: Range<u64>) -> bool {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} days, {per_sec}, {eta} left");
    let bar = ProgressBar::new(seeds.end - seeds.start);
    let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let mut report = Report::default();
    let reports = each(seeds, |report: &mut Report, seed| {
        let mut day = Day::new(chance::plan(seed, None), false);
        day.live();
        report.add(seed, &day);
        bar.inc(1);
    });
    reports.into_iter().for_each(|theirs| report.join(theirs));
    bar.finish_and_clear();
    println!("{report}");
    report.violated.is_empty()
}

/// Every story with everything that can be injected.
fn exhaustive() -> bool {
    let stories = stories();
    type Explore = fn(&Story) -> Explored;
    let kinds: [(&str, Explore); 3] = [
        ("faults", |story| explore::faults(story, u64::MAX)),
        ("mishaps", explore::mishaps),
        ("pairs of crashes", |story| explore::pairs(story, usize::MAX)),
    ];
    let tasks: Vec<_> = stories.iter().flat_map(|story| kinds.map(|kind| (story, kind))).collect();
    let explored = each(0..tasks.len() as u64, |all: &mut Vec<Explored>, n| {
        let (story, (what, explore)) = tasks[n as usize];
        let explored = explore(story);
        println!("{}: {} {what}, {} findings", story.name, explored.days, explored.findings.len());
        for finding in &explored.findings {
            println!("  {finding:?}");
        }
        all.push(explored);
    });
    let mut coverage = Coverage::default();
    let (mut days, mut findings) = (0, 0);
    for explored in explored.iter().flatten() {
        days += explored.days;
        findings += explored.findings.len();
        coverage.join(&explored.coverage);
    }
    println!("{days} days, {findings} findings; {coverage}");
    findings == 0
}

/// The first seed that finds each planted mistake.
fn mistakes(seeds: Range<u64>) -> bool {
    let found = each(0..Mistake::ALL.len() as u64, |sound: &mut Vec<bool>, n| {
        let mistake = Mistake::ALL[n as usize];
        let found = explore::found(mistake, seeds.clone());
        match &found {
            Some((seed, first)) => println!("{mistake:?}: seed {seed}, rule {}: {}", first.rule, first.what),
            None => println!("{mistake:?}: not found"),
        }
        sound.push(found.is_some());
    });
    found.into_iter().flatten().all(|found| found)
}

/// One service, a fleet of a thousand, two hundred services, under AWS's default limits as under raised ones; and in
/// steps, as AWS publishes its limits, and as if the balancer had EC2's.
fn scale() -> bool {
    let limits = Limits::default;
    let raised = || Limits { instances: Limits::PLENTY, run_instances: Limits::PLENTY, ..limits() };
    let shared = Limits { balancing: Some(limits().describe), ..raised() };
    let (at_once, gradual) = (Shift::default, || steps(&[10, 50], 300));
    let scales = [
        (1, 50, at_once(), limits()),
        (1, 1_000, at_once(), limits()),
        (200, 50, at_once(), limits()),
        (200, 50, at_once(), raised()),
        (200, 50, gradual(), raised()),
        (200, 50, gradual(), shared),
    ];
    let mut sound = true;
    for (services, count, shift, limits) in scales {
        let scaled = Scale { services, count, shift, limits }.live();
        println!("{scaled}");
        sound &= scaled.finished == services && scaled.violations == 0;
    }
    sound
}
