//! Unpacks a revision's archive and installs its files under the instance's root directory.

use super::appspec::{AppSpec, Permission};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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
        let flags = if bundle_type == "tgz" { "-zxf" } else { "-xf" };
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
    let entries = entries(archive)?;
    let [only] = entries.as_slice() else {
        return Ok(());
    };
    if !only.join(APPSPEC).is_file() {
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
    AppSpec::parse(&fs::read_to_string(&path).map_err(about(&path))?)
}

/// Copies the appspec's files to their places under `root`, after removing those of the last
/// installation, which `cleanup` lists.
pub(super) fn install(
    spec: &AppSpec,
    archive: &Path,
    root: &Path,
    file_exists_behavior: &str,
    cleanup: &Path,
) -> Result<(), String> {
    for old in fs::read_to_string(cleanup).unwrap_or_default().lines() {
        match fs::remove_file(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(about(Path::new(old))(error));
            }
            _ => {}
        }
    }
    let mut copies = Vec::new();
    for mapping in &spec.files {
        let source = under(archive, &mapping.source);
        let destination = under(root, &mapping.destination);
        if source.is_dir() {
            collect(&source, &destination, &mut copies)?;
        } else {
            let name = source.file_name().unwrap_or_default();
            let destination = destination.join(name);
            copies.push((source, destination));
        }
    }
    if file_exists_behavior == "DISALLOW"
        && let Some((_, there)) = copies.iter().find(|(_, destination)| destination.exists())
    {
        return Err(format!(
            "The deployment failed because a specified file already exists at this location: {}",
            there.display()
        ));
    }
    if file_exists_behavior == "RETAIN" {
        copies.retain(|(_, destination)| !destination.exists());
    }
    let mut installed = String::new();
    for (source, destination) in &copies {
        if let Some(parent) = destination.parent() {
            fs::create_dir_all(parent).map_err(about(parent))?;
        }
        fs::copy(source, destination).map_err(|_| format!("No such file or directory - {}", source.display()))?;
        installed += &format!("{}\n", destination.display());
    }
    fs::write(cleanup, installed).map_err(about(cleanup))?;
    for permission in &spec.permissions {
        permit(permission, &under(root, &permission.object))?;
    }
    Ok(())
}

/// Sets the mode of the object and, of a directory, of what it holds.
fn permit(permission: &Permission, object: &Path) -> Result<(), String> {
    let directory = object.is_dir();
    let wanted = if directory { "directory" } else { "file" };
    let applies = permission.types.is_empty() || permission.types.iter().any(|t| t == wanted);
    if let Some(mode) = permission.mode
        && applies
    {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(object, permissions).map_err(about(object))?;
    }
    if directory {
        for entry in entries(object)? {
            permit(permission, &entry)?;
        }
    }
    Ok(())
}

fn collect(source: &Path, destination: &Path, copies: &mut Vec<(PathBuf, PathBuf)>) -> Result<(), String> {
    for entry in entries(source)? {
        let destination = destination.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            collect(&entry, &destination, copies)?;
        } else {
            copies.push((entry, destination));
        }
    }
    Ok(())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let mut entries = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>())
        .map_err(about(directory))?;
    entries.sort();
    Ok(entries)
}

/// An absolute path inside `root`; `..` can't lead out.
pub(super) fn under(root: &Path, path: &str) -> PathBuf {
    let mut inside = root.to_path_buf();
    for part in Path::new(path).components() {
        if let std::path::Component::Normal(part) = part {
            inside.push(part);
        }
    }
    inside
}

fn about(path: &Path) -> impl Fn(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{error} - {path}")
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

    #[test]
    fn no_path_leads_out_of_the_instance() {
        for (path, inside) in [("/opt/web", "/r/opt/web"), ("../../etc/passwd", "/r/etc/passwd"), ("a/../b", "/r/a/b")]
        {
            assert_eq!(under(Path::new("/r"), path), Path::new(inside));
        }
    }
}
