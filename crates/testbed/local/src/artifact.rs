//! Packs the demo's web application as a release artifact: a zip with an appspec.

use serde_json::json;
use std::io::{self, Cursor, Write};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// How the packed application behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Variant {
    /// As it should.
    #[default]
    Healthy,
    /// Its health check answers 503.
    Unhealthy,
    /// Its health check is fine, and a fifth of its answers are errors.
    Errs,
    /// Its AfterInstall hook exits with 1.
    HookFails,
    /// It listens only after these seconds.
    SlowStart(u32),
}

const FILES: [(&str, &str); 6] = [
    ("app.py", include_str!("../demo/web/app.py")),
    ("appspec.yml", include_str!("../demo/web/appspec.yml")),
    ("scripts/prepare.sh", include_str!("../demo/web/scripts/prepare.sh")),
    ("scripts/start.sh", include_str!("../demo/web/scripts/start.sh")),
    ("scripts/stop.sh", include_str!("../demo/web/scripts/stop.sh")),
    ("scripts/validate.sh", include_str!("../demo/web/scripts/validate.sh")),
];

/// What the failing hook does instead.
const FAILING: &str = "#!/bin/sh\necho 'migration 42: table users does not exist' >&2\nexit 1\n";

/// The zip of one version; the same bytes each time.
pub fn pack(version: &str, variant: Variant) -> io::Result<Vec<u8>> {
    let release = json!({
        "version": version,
        "health": if variant == Variant::Unhealthy { 503 } else { 200 },
        "errsEach": if variant == Variant::Errs { 5 } else { 0 },
        "startSeconds": if let Variant::SlowStart(seconds) = variant { seconds } else { 0 },
    });
    let release = format!("{release}\n");
    let files = FILES.into_iter().map(|(name, content)| match (name, variant) {
        ("scripts/prepare.sh", Variant::HookFails) => (name, FAILING),
        _ => (name, content),
    });
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files.chain([("release.json", release.as_str())]) {
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode))?;
        zip.write_all(content.as_bytes())?;
    }
    Ok(zip.finish()?.into_inner())
}
