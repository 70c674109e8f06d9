//! `tagship-sim`: thousands of days an hour, each of which tries to break a rule.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use tagship_sim::chance;
use tagship_sim::day::Day;
use tagship_sim::explore;
use tagship_sim::mistake::Mistake;
use tagship_sim::past::clock;
use tagship_sim::report::Report;
use tagship_sim::story::stories;

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
    /// The canonical stories, with every fault at every call and every pair of crashes.
    #[arg(long)]
    exhaustive: bool,
    /// Planted mistakes: which seed finds each first.
    #[arg(long)]
    mistakes: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sound = match arguments.seed {
        Some(seed) => one(seed, arguments.trace),
        None if arguments.exhaustive => exhaustive(),
        None if arguments.mistakes => mistakes(arguments.first_seed, arguments.seeds),
        None => many(arguments.first_seed, arguments.seeds),
    };
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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

/// Many days, on every processor.
fn many(first: u64, seeds: u64) -> bool {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} days, {per_sec}, {eta} left");
    let bar = ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let next = AtomicU64::new(first);
    let work = || {
        let mut mine = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first.saturating_add(seeds) {
                return mine;
            }
            let mut day = Day::new(chance::plan(seed, None), false);
            day.live();
            mine.add(seed, &day);
            bar.inc(1);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut report = Report::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(theirs) => report.join(theirs),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    bar.finish_and_clear();
    println!("{report}");
    report.violated.is_empty()
}

/// Every story with every fault at every call, and with every pair of crashes.
fn exhaustive() -> bool {
    let mut sound = true;
    for story in stories() {
        for (what, explored) in [("faults", explore::single(&story)), ("pairs of crashes", explore::pairs(&story))] {
            println!("{}: {} {what}, {} findings", story.name, explored.days, explored.findings.len());
            for finding in &explored.findings {
                println!("  {:?}: {:?} {:?}", finding.injected, finding.violations, finding.ends);
            }
            sound &= explored.findings.is_empty();
        }
    }
    sound
}

/// The first seed that finds each planted mistake.
fn mistakes(first: u64, seeds: u64) -> bool {
    let mut sound = true;
    for mistake in Mistake::ALL {
        let found = (first..first + seeds).find_map(|seed| {
            let mut day = Day::new(chance::plan(seed, Some(mistake)), false);
            day.live();
            day.checks.violations.into_iter().next().map(|violation| (seed, violation))
        });
        match found {
            Some((seed, first)) => println!("{mistake:?}: seed {seed}, rule {}: {}", first.rule, first.what),
            None => {
                println!("{mistake:?}: not found");
                sound = false;
            }
        }
    }
    sound
}
