//! The bench: what the functions cost in time, memory, bytes and AWS calls, each figure beside its limit.

mod calls;
mod release;
mod start;

use crate::{local, ops};
use calls::{FUNCTIONS, Rounds};
use comfy_table::{ContentArrangement, Table, presets};
use release::Played;
use start::Starts;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tagship_cloud::moto;
use zip::ZipArchive;
use zip::result::ZipError;

/// From a process's start to its first request for work.
const START_MAX: Duration = Duration::from_millis(12);
/// Resident memory of a process that waits for its first work, in bytes.
const IDLE_MAX: u64 = 12_000_000;
/// Resident memory at most, while it handles a fleet of [`LARGE`], in bytes.
const PEAK_MAX: u64 = 32_000_000;
/// The fleet that [`PEAK_MAX`] is for.
const LARGE: u32 = 1_000;
/// A function's archive, in bytes. Above 4 MB are the clients of CloudWatch, for alarms and figures, and of Lambda, for
/// hooks; provision has one of nearly every service, since it checks everything before a launch.
const ZIP_MAX: [(&str, u64); 4] =
    [("provision", 4_600_000), ("deploy", 4_500_000), ("route", 4_500_000), ("cleanup", 4_500_000)];
/// Changing calls and reports of a whole release with two switches: fleet, limit.
const CHANGES_MAX: [(u32, usize); 3] = [(1, 45), (100, 50), (LARGE, 80)];

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the functions' archives are, as `make build` leaves them: FUNCTION/bootstrap.zip.
    #[arg(long, default_value_os_t = built())]
    archives: PathBuf,
    /// Sizes of the fleets to release; fewer for a quick look.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, LARGE])]
    fleets: Vec<u32>,
}

/// Why the bench failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cloud didn't come up.
    #[error(transparent)]
    Up(#[from] local::Error),
    /// There is no Python to compare with.
    #[error(transparent)]
    Python(#[from] moto::Error),
    /// A call failed.
    #[error(transparent)]
    Ops(#[from] ops::Error),
    /// An archive could not be read or unpacked.
    #[error("{0}: {1} (`make build` makes it)")]
    Archive(PathBuf, ZipError),
    /// A file could not be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// A function didn't start as it should.
    #[error("{0} didn't ask for work: {1}")]
    Start(String, String),
    /// A release went otherwise than it should.
    #[error("{0}")]
    Release(String),
    /// A limit is missed.
    #[error("{0} of {1} limits missed")]
    Missed(usize, usize),
}

/// A figure beside its limit.
struct Row {
    measure: String,
    figure: String,
    limit: String,
    met: bool,
    beside: String,
}

/// Measures, prints, and fails if a limit is missed.
pub async fn run(args: Args) -> Result<(), Error> {
    let functions = tempfile::tempdir().map_err(|error| Error::File(std::env::temp_dir(), error))?;
    let functions = functions.path();
    let mut sizes = Vec::new();
    for (function, most) in ZIP_MAX {
        sizes.push((function, unpack(&args.archives, function, functions)?, most));
    }
    let mut rows = starts(functions).await?;
    for (function, size, most) in sizes {
        rows.push(Row {
            measure: format!("{function}: archive"),
            figure: megabytes(size),
            limit: megabytes(most),
            met: size <= most,
            beside: String::new(),
        });
    }
    let mut all = Vec::new();
    for (n, fleet) in args.fleets.iter().enumerate() {
        // A rollback's calls don't depend on the fleet.
        let played = release::play(functions, *fleet, n == 0).await?;
        eprintln!("fleet of {fleet}: a first release, and one that replaces it, in {:.0?}", played.took);
        all.push(played);
    }
    rows.extend(all.iter().flat_map(of_release));
    rows.push(reads(&all));
    println!("{}", table(&rows));
    println!("\nAWS calls a stage of a release that replaces another (changing + reads)\n{}", stages(&all));
    match rows.iter().filter(|row| !row.met).count() {
        0 => {
            println!("\nbench: ok, {} limits kept", rows.len());
            Ok(())
        }
        missed => Err(Error::Missed(missed, rows.len())),
    }
}

async fn starts(functions: &Path) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for function in FUNCTIONS {
        let Starts { ours, pythons } = start::compare(functions, function).await?;
        eprintln!("{function}: started {} times, Python as often", start::STARTS);
        let milliseconds = |took: Duration| format!("{:.1} ms", took.as_secs_f64() * 1e3);
        let ratio = pythons.took.as_secs_f64() / ours.took.as_secs_f64();
        rows.push(Row {
            measure: format!("{function}: process start to first /next"),
            figure: milliseconds(ours.took),
            limit: milliseconds(START_MAX),
            met: ours.took <= START_MAX,
            beside: format!("Python with boto3 {}: {ratio:.0} times", milliseconds(pythons.took)),
        });
        rows.push(Row {
            measure: format!("{function}: memory when idle"),
            figure: megabytes(ours.idle),
            limit: megabytes(IDLE_MAX),
            met: ours.idle <= IDLE_MAX,
            beside: format!("Python {}", megabytes(pythons.idle)),
        });
    }
    Ok(rows)
}

/// The archives for this machine's own architecture.
fn built() -> PathBuf {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/lambda").join(architecture)
}

/// Unpacks the program of a function's archive under the function's name; the archive's size in bytes.
fn unpack(archives: &Path, function: &str, to: &Path) -> Result<u64, Error> {
    let path = archives.join(function).join("bootstrap.zip");
    let unpacked = || -> Result<u64, ZipError> {
        let file = File::open(&path)?;
        let size = file.metadata()?.len();
        let mut archive = ZipArchive::new(file)?;
        let mut program = OpenOptions::new().create_new(true).write(true).mode(0o755).open(to.join(function))?;
        io::copy(&mut archive.by_name("bootstrap")?, &mut program)?;
        Ok(size)
    };
    unpacked().map_err(|error| Error::Archive(path.clone(), error))
}

/// What one size of fleet says.
fn of_release(played: &Played) -> Vec<Row> {
    let Played { fleet, calls, peaks, rollback, .. } = played;
    let mut rows = Vec::new();
    if let Some((_, limit)) = CHANGES_MAX.iter().find(|(of, _)| of == fleet) {
        let changing: Vec<_> = calls.iter().filter(|record| record.changing).collect();
        let reports = changing.iter().filter(|record| calls::reports(record)).count();
        rows.push(Row {
            measure: format!("fleet of {fleet}: changing calls and reports of a release"),
            figure: changing.len().to_string(),
            limit: limit.to_string(),
            met: changing.len() <= *limit,
            beside: format!("{reports} of them reports and events"),
        });
    }
    if *fleet == LARGE {
        rows.extend(peaks.iter().map(|(function, peak)| Row {
            measure: format!("fleet of {fleet}: most memory of {function}"),
            figure: megabytes(*peak),
            limit: megabytes(PEAK_MAX),
            met: *peak <= PEAK_MAX,
            beside: "while two such fleets are there".to_owned(),
        }));
    }
    if let Some(rollback) = rollback {
        let steps = calls::until_restored(&rollback.calls);
        let switches = rollback.switches;
        rows.push(Row {
            measure: format!("rollback: changing calls until the weights of {switches} switches are back"),
            figure: steps.others.to_string(),
            limit: switches.to_string(),
            met: steps.others <= switches && steps.others > 0,
            beside: format!("and {} of the hold, in {:.1} s", steps.hold, steps.took.as_secs_f64()),
        });
    }
    rows
}

fn reads(all: &[Played]) -> Row {
    let mut sum = Rounds::default();
    for played in all {
        let Rounds { rounds, reads, repeated } = calls::rounds(&played.calls);
        sum.rounds += rounds;
        sum.reads += reads;
        sum.repeated.extend(repeated.into_iter().map(|what| format!("fleet of {}: {what}", played.fleet)));
    }
    for repeated in &sum.repeated {
        println!("read more than once in a round: {repeated}");
    }
    Row {
        measure: "reads of a resource kind more than once in a round".to_owned(),
        figure: sum.repeated.len().to_string(),
        limit: "0".to_owned(),
        met: sum.repeated.is_empty() && sum.rounds > 0,
        beside: format!("{} reads in {} rounds, the hold's apart", sum.reads, sum.rounds),
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["measure", "figure", "limit", "", "beside it"]);
    for Row { measure, figure, limit, met, beside } in rows {
        let verdict = if *met { "ok" } else { "MISSED" };
        table.add_row([measure.as_str(), figure, limit, verdict, beside]);
    }
    table
}

/// Stage by fleet.
fn stages(all: &[Played]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(
        ["stage".to_owned()].into_iter().chain(all.iter().map(|played| format!("fleet of {}", played.fleet))),
    );
    let counts: Vec<BTreeMap<&str, calls::Count>> =
        all.iter().map(|played| calls::by_function(&played.calls)).collect();
    let cell = |count: &calls::Count| format!("{} + {}", count.changing, count.reads);
    for function in FUNCTIONS {
        let cells = counts.iter().map(|counts| counts.get(function).map_or("–".to_owned(), cell));
        table.add_row([function.to_owned()].into_iter().chain(cells));
    }
    let sums = counts.iter().map(|counts| cell(&counts.values().copied().sum()));
    table.add_row(["together".to_owned()].into_iter().chain(sums));
    table
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
