//! Archives with one mistake each, and what is said about them.
#![allow(clippy::unwrap_used, missing_docs)]

use serde_json::json;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use tagship_appspec::{Code, Report, check};
use zip::write::SimpleFileOptions;
use zip::{System, ZipWriter};

/// A file of an archive: its name, what is in it, its mode. A text `->…` is a symbolic link.
type Entry<'a> = (&'a str, &'a str, u32);

const SOUND: &str = "\
version: 0.0
os: linux
files:
  - source: /
    destination: /opt/web
permissions:
  - object: /opt/web
    mode: \"0755\"
hooks:
  ApplicationStart:
    - location: scripts/start.sh
      timeout: 300
      runas: web
";
const START: Entry<'_> = ("scripts/start.sh", "#!/bin/sh\nexec web\n", 0o755);

fn pack(path: &Path, entries: &[Entry<'_>], system: System) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, text, mode) in entries {
        let options = SimpleFileOptions::default().system(system).unix_permissions(*mode);
        match text.strip_prefix("->") {
            Some(target) => zip.add_symlink(*name, target, options).unwrap(),
            None => {
                zip.start_file(*name, options).unwrap();
                zip.write_all(text.as_bytes()).unwrap();
            }
        }
    }
    zip.finish().unwrap();
}

fn report_of(entries: &[Entry<'_>], system: System) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("release.zip");
    pack(&path, entries, system);
    check(&path).unwrap()
}

/// Each finding as `error code place`, then words of its message or its fix after `|`.
#[track_caller]
fn says(report: &Report, expected: &[&str]) {
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|one| {
            let json = serde_json::to_value(one).unwrap();
            let head = format!("{} {} {}", json["severity"], json["code"], one.place).replace('"', "");
            (head, format!("{} {}", one.message, one.fix))
        })
        .collect();
    let fits = |(found, expected): (&(String, String), &&str)| {
        let (head, words) = expected.split_once(" | ").unwrap_or((expected, ""));
        found.0 == head && found.1.contains(words)
    };
    let all = found.len() == expected.len() && found.iter().zip(expected).all(fits);
    assert!(all, "found {found:#?}, expected {expected:#?}");
}

/// The sound appspec with a change, and the sound script.
#[track_caller]
fn appspec(from: &str, to: &str, expected: &[&str]) {
    assert!(SOUND.contains(from), "{from}");
    says(&report_of(&[("appspec.yml", &SOUND.replacen(from, to, 1), 0o644), START], System::Unix), expected);
}

/// The sound appspec, and these files.
#[track_caller]
fn files(entries: &[Entry<'_>], expected: &[&str]) {
    let all: Vec<_> = [("appspec.yml", SOUND, 0o644)].into_iter().chain(entries.iter().copied()).collect();
    says(&report_of(&all, System::Unix), expected);
}

#[test]
fn a_sound_archive_has_no_findings() {
    let report = report_of(&[("appspec.yml", SOUND, 0o644), START, ("run", "\x7fELF\r\n", 0o755)], System::Unix);
    says(&report, &[]);
    assert_eq!((report.files, report.appspec.as_deref()), (3, Some("appspec.yml")));
    assert_eq!((report.errors(), report.warnings()), (0, 0));
}

#[test]
fn the_agent_refuses_an_appspec() {
    appspec("  - source: /", "  - src: /", &["error appspec-refused appspec.yml:4 | destination file, but no source"]);
    appspec("version: 0.0", "version: 1", &["error appspec-refused appspec.yml:1 | invalid version value (1)"]);
    appspec("os: linux", "os: windows", &["error appspec-refused appspec.yml:2 | unsupported operating system"]);
    appspec("timeout: 300", "timeout: 0", &["error appspec-refused appspec.yml:12 | invalid timeout value"]);
    appspec("os: linux", "os: [", &["error appspec-refused appspec.yml:4 | did not find expected"]);
    appspec(
        "    mode: \"0755\"",
        "    mode: 99999\n    type: file\n    acls: [rw]",
        &[
            "error appspec-refused appspec.yml:9 | wrong at type",
            "error appspec-refused appspec.yml:8 | length of a permissions mode",
            "error appspec-refused appspec.yml:10 | Invalid acl entry (rw)",
        ],
    );
    appspec("version", "\u{feff}version", &["error appspec-byte-order-mark appspec.yml:1 | without one"]);
}

#[test]
fn the_agent_takes_an_appspec_otherwise_than_it_is_meant() {
    appspec("\"0755\"", "0755", &["error appspec-refused appspec.yml:8 | mode: \"0755\""]);
    appspec("\"0755\"", "0644", &["warning mode-unquoted appspec.yml:8 | is the number 420"]);
    appspec(
        "      timeout: 300",
        "      timeout: 300\n      timeout: 60",
        &["warning appspec-key-twice appspec.yml:13 | only the last"],
    );
    appspec(
        "object: /opt/web",
        "object: opt/webb",
        &["warning permission-unused appspec.yml:7 | about nothing that this revision installs"],
    );
}

#[test]
fn hooks() {
    appspec("ApplicationStart", "ApplicationStrat", &["error hook-unknown appspec.yml:10 | mean ApplicationStart?"]);
    appspec("ApplicationStart", "Deploy", &["error hook-unknown appspec.yml:10 | Name one of ApplicationStop"]);
    appspec("ApplicationStart", "Install", &["warning hook-never-runs appspec.yml:10 | the agent's own"]);
    appspec(
        "ApplicationStart",
        "AfterAllowTraffic",
        &["warning hook-never-runs appspec.yml:10 | control of the balancer"],
    );
    appspec("timeout: 300", "timeout: 3601", &["error timeout-too-long appspec.yml:11 | Write 3600 or less"]);
    appspec(
        "      runas: web",
        "    - {location: scripts/start.sh, timeout: 3500}",
        &["warning timeouts-too-long appspec.yml:10 | 3800 seconds together"],
    );
    for user in ["web;id", "-c", "1000"] {
        appspec("runas: web", &format!("runas: {user}"), &["error runas-name appspec.yml:11 | no name of a user"]);
    }
}

#[test]
fn scripts_that_are_not_there() {
    appspec(
        "scripts/start.sh",
        "script/start.sh",
        &["error script-missing appspec.yml:11 | scripts/start.sh is there"],
    );
    appspec("scripts/start.sh", "scripts", &["error script-missing appspec.yml:11 | is a directory"]);
    appspec(
        "scripts/start.sh",
        "scripts/start.sh --now",
        &["error script-missing appspec.yml:11 | name scripts/start.sh alone"],
    );
    let link = ("scripts/start.sh", "->../bin/start", 0o777);
    files(&[link], &["error script-missing appspec.yml:11 | when the hook is due"]);
    files(&[link, ("bin/start", "#!/bin/sh\n", 0o755)], &[]);
    files(&[("scripts/start.sh", "->/usr/local/bin/start", 0o777)], &[]);
}

#[test]
fn scripts_that_linux_cannot_run() {
    let name = "scripts/start.sh";
    files(
        &[(name, "#!/bin/sh\n", 0o644)],
        &["warning script-not-executable scripts/start.sh | chmod 755 scripts/start.sh"],
    );
    files(&[(name, "#!/bin/sh\n", 0o750)], &["error script-unreadable scripts/start.sh | web, who is to run it"]);
    files(&[(name, "exec web\n", 0o755)], &["warning script-interpreter scripts/start.sh:1 | runs the script with sh"]);
    files(&[(name, "\u{feff}#!/bin/sh\n", 0o755)], &["error script-byte-order-mark scripts/start.sh:1"]);
    files(&[(name, "#!/bin/sh\n\nexec web\r\n", 0o755)], &["error script-line-ends scripts/start.sh:3 | dos2unix"]);
    files(&[START, ("lib.sh", "a\r\n", 0o644)], &["warning script-line-ends lib.sh:1 | No hook names it"]);
    let spaced = SOUND.replace(name, "start web.sh");
    let entries = [("appspec.yml", &*spaced, 0o644), ("start web.sh", "#!/bin/sh\n", 0o755)];
    says(&report_of(&entries, System::Unix), &["error script-name appspec.yml:11 | Rename it"]);
}

#[test]
fn an_archive_from_windows() {
    let entries = [("appspec.yml", SOUND, 0o644), ("scripts\\start.sh", "#!/bin/sh\r\n", 0o755)];
    says(
        &report_of(&entries, System::Dos),
        &[
            "error name-backslash scripts\\start.sh | PowerShell 7",
            "error script-line-ends scripts/start.sh:1",
            "warning script-not-executable scripts/start.sh | says nothing about modes",
        ],
    );
}

#[test]
fn installing() {
    appspec(
        "source: /",
        "source: build",
        &["error source-missing appspec.yml:4 | `source: build` isn't in the archive"],
    );
    appspec("source: /", "source: scripts/../scripts", &[]);
    appspec(
        "permissions:",
        "  - source: scripts/start.sh\n    destination: /opt/web/scripts\npermissions:",
        &["error install-refused appspec.yml:6 | two source files named scripts/start.sh and scripts/start.sh"],
    );
    appspec(
        "permissions:",
        "permissions:\n  - object: /opt/web/appspec.yml\n    owner: web",
        &["error install-refused appspec.yml:9 | specified more than once"],
    );
    appspec(
        "destination: /opt/web",
        "destination: 7",
        &["error install-refused appspec.yml:4 | a destination of files"],
    );
}

#[test]
fn an_appspec_that_is_elsewhere() {
    let within = |directory: &str| {
        let script = format!("{directory}/scripts/start.sh");
        [(format!("{directory}/appspec.yml"), SOUND, 0o644), (script, START.1, 0o755)]
    };
    let web = within("web-1.2");
    let mut entries: Vec<_> = web.iter().map(|(name, text, mode)| (name.as_str(), *text, *mode)).collect();
    says(&report_of(&entries, System::Unix), &["warning appspec-nested web-1.2/appspec.yml | cd web-1.2 && zip"]);
    entries.push(("__MACOSX/web-1.2/x", "", 0o644));
    says(&report_of(&entries, System::Unix), &["error appspec-missing web-1.2/appspec.yml | cd web-1.2 && zip"]);
    for name in ["appspec.yaml", "AppSpec.yml"] {
        let expected = format!("error appspec-missing {name} | Rename it to appspec.yml");
        says(&report_of(&[(name, SOUND, 0o644), START], System::Unix), &[&expected]);
    }
    says(&report_of(&[START], System::Unix), &["error appspec-missing the archive | Add an appspec.yml"]);
    let large = "#".repeat(1 << 20);
    says(&report_of(&[("appspec.yml", &large, 0o644)], System::Unix), &["error appspec-large appspec.yml"]);
}

#[test]
fn names_that_lead_elsewhere() {
    files(
        &[START, ("../../etc/cron.d/x", "", 0o644)],
        &["error name-leaves ../../etc/cron.d/x | leaves its directory"],
    );
    files(&[START, ("a/../b", "", 0o644)], &["error name-leaves a/../b"]);
    files(&[START, ("/etc/x", "", 0o644)], &["error name-absolute /etc/x | below its own directory"]);
    files(&[START, ("C:/x", "", 0o644)], &["error name-absolute C:/x"]);
    files(
        &[START, ("out", "->/etc", 0o777), ("out/x", "", 0o644)],
        &["error name-through-link out/x | symbolic link to /etc"],
    );
    files(&[START, ("a", "", 0o644), ("a/b", "", 0o644)], &["error name-twice a/b | a directory in another"]);
}

#[test]
fn the_twenty_first_of_a_kind_is_counted() {
    let names: Vec<_> = (0..25).map(|number| format!("/{number}")).collect();
    let mut entries = vec![("appspec.yml", SOUND, 0o644), START];
    entries.extend(names.iter().map(|name| (name.as_str(), "", 0o644)));
    let report = report_of(&entries, System::Unix);
    assert_eq!(report.findings.len(), 21);
    assert!(report.findings[20].message.starts_with("5 more"), "{:?}", report.findings[20]);
}

#[test]
fn what_is_no_zip() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("release.zip");
    pack(&path, &[("appspec.yml", SOUND, 0o644), START], System::Unix);
    let whole = std::fs::read(&path).unwrap();
    for content in [b"".as_slice(), b"plain text", &whole[..whole.len() - 30]] {
        std::fs::write(&path, content).unwrap();
        says(&check(&path).unwrap(), &["error not-a-zip the archive | zip -r"]);
    }
    // One byte of the script, which the archive stores as it is or deflated, so its sum is wrong.
    let at = whole.windows(16).position(|name| name == b"scripts/start.sh").unwrap() + 16 + 4;
    let mut damaged = whole.clone();
    damaged[at] ^= 0x55;
    std::fs::write(&path, damaged).unwrap();
    says(&check(&path).unwrap(), &["error entry-damaged scripts/start.sh | Build the archive again"]);
    for path in [directory.path().join("none.zip"), directory.path().to_owned()] {
        let error = check(&path).unwrap_err().to_string();
        assert!(error.contains("can't be read: "), "{error}");
    }
}

#[test]
fn a_large_archive() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("release.zip");
    pack(&path, &[("appspec.yml", SOUND, 0o644), START], System::Unix);
    let whole = std::fs::read(&path).unwrap();
    for (before, expected) in [(1_u64 << 30, &[][..]), (3 << 30, &["warning archive-large the archive | has 3 GB"])] {
        // A ZIP may follow something else; these gigabytes take no space on the disk.
        let mut file = File::create(&path).unwrap();
        file.seek(SeekFrom::Start(before)).unwrap();
        file.write_all(&whole).unwrap();
        says(&check(&path).unwrap(), expected);
    }
}

#[test]
fn what_instances_cannot_unpack() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("release.zip");
    pack(&path, &[("appspec.yml", SOUND, 0o644), START], System::Unix);
    let whole = std::fs::read(&path).unwrap();
    // The second entry of the central directory: its flags at 8, its method at 10.
    let record = |bytes: &[u8]| bytes.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    for (at, value, expected) in [
        (8, 1, "error entry-encrypted scripts/start.sh | without a password"),
        (10, 93, "error entry-compression scripts/start.sh | the ordinary method"),
    ] {
        let mut changed = whole.clone();
        changed[record(&whole) + at] = value;
        std::fs::write(&path, changed).unwrap();
        says(&check(&path).unwrap(), &[expected]);
    }
}

#[test]
fn a_report_is_plain_data() {
    let report = report_of(&[("appspec.yml", SOUND, 0o644), ("scripts/start.sh", "#!/bin/sh\n", 0o644)], System::Unix);
    assert_eq!(report.findings[0].code, Code::ScriptNotExecutable);
    let json = serde_json::to_value(&report).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(finding["place"], json!({"file": "scripts/start.sh"}));
    assert_eq!(finding["code"], "script-not-executable");
    assert_eq!(json["files"], 2);
}
