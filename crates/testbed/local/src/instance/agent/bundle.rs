//! Unpacks a revision's archive and reads its appspec.

use super::install::{about, entries};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tagship_appspec::AppSpec;

/// The name that CodeDeploy looks for at the top of the archive.
const APPSPEC: &str = "appspec.yml";

/// Unpacks `bundle` into the new directory `archive`.
pub(super) fn unpack(bundle: &Path, bundle_type: &str, archive: &Path) -> Result<(), String> {
    if archive.exists() {
        fs::remove_dir_all(archive).map_err(about(archive))?;
    }
    fs::create_dir_all(archive).map_err(about(archive))?;
    if bundle_type == "zip" {
        let file = fs::File::open(bundle).map_err(about(bundle))?;
        // What the agent's own unzip says of something that is no zip.
        let no_zip = |_| "Zip end of central directory signature not found".to_owned();
        let mut zip = zip::ZipArchive::new(file).map_err(no_zip)?;
        zip.extract(archive).map_err(|error| error.to_string())?;
    } else {
        let flags = if bundle_type == "tgz" { "-zxpf" } else { "-xpf" };
        let tar = Command::new("tar")
            .arg(flags)
            .arg(bundle)
            .arg("-C")
            .arg(archive)
            .output()
            .map_err(|error| format!("tar could not be run: {error}"))?;
        if !tar.status.success() {
            let code = tar.status.code().unwrap_or_default();
            return Err(format!("Error extracting tar archive: {code}"));
        }
    }
    strip_single_directory(archive)
}

/// A lone directory that holds the appspec is taken for the top, as the agent does.
fn strip_single_directory(archive: &Path) -> Result<(), String> {
    let all = entries(archive)?;
    let [only] = all.as_slice() else {
        return Ok(());
    };
    let appspec =
        |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().to_lowercase().contains("appspec"));
    if !only.is_dir() || !entries(only)?.iter().any(appspec) {
        return Ok(());
    }
    let aside = archive.with_extension("temp");
    fs::rename(archive, &aside).map_err(about(archive))?;
    let nested = aside.join(only.file_name().unwrap_or_default());
    fs::rename(nested, archive).map_err(about(archive))?;
    fs::remove_dir(&aside).map_err(about(&aside))
}

/// Reads the archive's appspec.
pub(super) fn appspec(archive: &Path) -> Result<AppSpec, String> {
    let path = archive.join(APPSPEC);
    if !path.is_file() {
        return Err(format!(
            "The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at \
             revision-relative path \"{APPSPEC}\". The revision was unpacked to directory \"{}\", and the AppSpec file \
             was expected but not found at path \"{}\". Consult the AWS CodeDeploy Appspec documentation for more \
             information at http://docs.aws.amazon.com/codedeploy/latest/userguide/reference-appspec-file.html",
            archive.display(),
            path.display()
        ));
    }
    AppSpec::parse(&fs::read(&path).map_err(about(&path))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_archives_are_unpacked_like_zips() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("top")).expect("created");
        fs::write(at("top/appspec.yml"), "version: 0.0\nos: linux\n").expect("written");
        for (kind, flags) in [("tar", "-cf"), ("tgz", "-czf")] {
            let made = Command::new("tar").arg(flags).arg(at("bundle")).arg("-C").arg(at("")).arg("top").status();
            assert!(made.expect("tar").success());
            unpack(&at("bundle"), kind, &at("archive")).expect(kind);
            assert_eq!(appspec(&at("archive")), Ok(AppSpec::default()), "{kind}");
        }
        fs::write(at("bundle"), "plain text").expect("written");
        let error = unpack(&at("bundle"), "tgz", &at("archive"));
        assert_eq!(error, Err("Error extracting tar archive: 2".to_owned()));
    }
}
