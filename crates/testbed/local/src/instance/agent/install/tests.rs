//! The installer on directories of its own. What is expected is what the real agent's installer does there.

use super::*;

/// Installs `appspec` of a revision with `files` (a text beginning with `->` is a link), onto a disk with `before`;
/// what the disk then holds: path, `->target` or text, and the mode of what isn't 644 or 755.
#[track_caller]
fn check(appspec: &str, files: &[(&str, &str)], before: &[(&str, &str)], expected: Result<&[&str], &str>) {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    for (base, files) in [("archive", files), ("root", before)] {
        fs::create_dir_all(at(base)).expect("made");
        for (path, content) in files {
            let path = at(base).join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            match content.strip_prefix("->") {
                Some(target) => symlink(target, path).expect("linked"),
                None => fs::write(path, content).expect("written"),
            }
        }
    }
    let (archive, root, cleanup) = (at("archive"), at("root"), at("cleanup"));
    let places = Places { archive: &archive, root: &root, cleanup: &cleanup };
    let spec = AppSpec::parse(format!("version: 0.0\nos: linux\n{appspec}").as_bytes()).expect(appspec);
    let found = install(&spec, places, "DISALLOW").map(|()| {
        let mut lines = Vec::new();
        seen(&root, &root, &mut lines);
        lines
    });
    match expected {
        Ok(expected) => assert_eq!(found.expect(appspec), expected, "{appspec}"),
        Err(words) => {
            let error = found.expect_err(appspec);
            assert!(error.contains(words), "{appspec}: {error}");
        }
    }
    remove_last(places).expect("removed");
    let mut left = Vec::new();
    seen(&root, &root, &mut left);
    let kept = |line: &String| before.iter().any(|(path, _)| line.contains(path) || path.starts_with(&**line));
    assert!(left.iter().all(kept), "{appspec}: {left:?}");
}

fn seen(root: &Path, directory: &Path, lines: &mut Vec<String>) {
    for path in entries(directory).expect("entries") {
        let name = path.strip_prefix(root).expect("inside").display().to_string();
        if let Ok(target) = fs::read_link(&path) {
            lines.push(format!("{name} ->{}", target.display()));
            continue;
        }
        let mode = fs::metadata(&path).expect("metadata").permissions().mode() & 0o7777;
        let mode = if matches!(mode, 0o644 | 0o755) { String::new() } else { format!(" {mode:o}") };
        if path.is_dir() {
            lines.push(format!("{name}/{mode}"));
            seen(root, &path, lines);
        } else {
            lines.push(format!("{name} {}{mode}", fs::read_to_string(&path).expect("text")));
        }
    }
}

const ALL: &str = "files: [{source: /, destination: /opt/web}]\n";
const TREE: [(&str, &str); 3] = [("a.sh", "1"), ("b.txt", "2"), ("d/c.sh", "3")];

#[test]
fn files_go_where_they_belong() {
    check(
        ALL,
        &TREE,
        &[],
        Ok(&["opt/", "opt/web/", "opt/web/a.sh 1", "opt/web/b.txt 2", "opt/web/d/", "opt/web/d/c.sh 3"]),
    );
    check("files: [{source: d/c.sh, destination: etc}]", &TREE, &[], Ok(&["etc/", "etc/c.sh 3"]));
    check("files: [{source: d, destination: /x/../../y}]", &TREE, &[], Ok(&["y/", "y/c.sh 3"]));
    check("files: [{source: d, destination: ~/y}]", &TREE, &[], Ok(&["root/", "root/y/", "root/y/c.sh 3"]));
    check("files: [{source: none, destination: /y}]", &TREE, &[], Err("No such file or directory @ rb_sysopen - "));
    check("files: [{source: 2024, destination: /y}]", &TREE, &[], Err("a source of files"));
    check("files: [{source: a.sh, destination: 7}]", &TREE, &[], Err("a destination of files"));
}

#[test]
fn links_stay_links_but_those_to_directories_are_followed() {
    let files = [("a", "1"), ("to-a", "->a"), ("to-d", "->d"), ("d/c", "3"), ("gone", "->/nowhere")];
    check(
        "files: [{source: /, destination: /w}]",
        &files,
        &[],
        Ok(&["w/", "w/a 1", "w/d/", "w/d/c 3", "w/gone ->/nowhere", "w/to-a ->a", "w/to-d/", "w/to-d/c 3"]),
    );
}

#[test]
fn what_is_there_already() {
    let one = |more: &str| format!("{more}files: [{{source: a.sh, destination: /w}}]");
    let there = [("w/a.sh", "old")];
    check(&one(""), &TREE, &there, Err("already exists at this location: /w/a.sh"));
    check(&one("file_exists_behavior: RETAIN\n"), &TREE, &there, Ok(&["w/", "w/a.sh old"]));
    check(&one("file_exists_behavior: OVERWRITE\n"), &TREE, &there, Ok(&["w/", "w/a.sh 1"]));
    let twice = "files: [{source: a.sh, destination: /w}, {source: x/a.sh, destination: /w}]";
    let files = [("a.sh", "1"), ("x/a.sh", "2")];
    check(twice, &files, &[], Err("two source files named x/a.sh and a.sh for the same destination (/w/a.sh)"));
    let file_is_directory = "files: [{source: d/c.sh, destination: /w/a.sh}, {source: a.sh, destination: /w}]";
    check(file_is_directory, &TREE, &[], Err("calls for installing the file a.sh, but a file with that name"));
    let directory_is_file = "files: [{source: a.sh, destination: /w}, {source: d, destination: /w/a.sh}]";
    check(directory_is_file, &TREE, &[], Err("more than once for the same destination path (/w/a.sh)"));
}

#[test]
fn permissions_touch_only_what_was_copied() {
    let with = |permission: &str| format!("{ALL}permissions: [{{object: /opt/web, {permission}}}]");
    let there = [("opt/web/old.sh", "0")];
    let disk = |a: &str, b: &str, c: &str, d: &str| {
        let line = |text: &str, mode: &str| if mode.is_empty() { text.to_owned() } else { format!("{text} {mode}") };
        vec![
            "opt/".to_owned(),
            "opt/web/".to_owned(),
            line("opt/web/a.sh 1", a),
            line("opt/web/b.txt 2", b),
            line("opt/web/d/", d),
            line("opt/web/d/c.sh 3", c),
            "opt/web/old.sh 0".to_owned(),
        ]
    };
    for (permission, modes) in [
        ("mode: 700", ["700", "700", "700", "700"]),
        ("mode: \"0700\", type: [file]", ["700", "700", "700", ""]),
        ("mode: 700, type: [directory]", ["", "", "", "700"]),
        ("mode: 700, pattern: \"*.sh\"", ["700", "", "", ""]),
        ("mode: 700, pattern: \"*\", except: [a*, d]", ["", "700", "", ""]),
        ("mode: 700, except: [\"*.txt\"]", ["700", "", "700", "700"]),
        ("mode: 700, type: []", ["", "", "", ""]),
        ("owner: web", ["", "", "", ""]),
    ] {
        let [a, b, c, d] = modes;
        let expected = disk(a, b, c, d);
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check(&with(permission), &TREE, &there, Ok(&expected));
    }
    let elsewhere =
        format!("{ALL}permissions: [{{object: /nowhere, mode: 700}}, {{object: /opt/web/d/c.sh, mode: 1}}]");
    let expected = disk("", "", "1", "");
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    check(&elsewhere, &TREE, &there, Ok(&expected));
}

#[test]
fn permissions_that_fail_while_installing() {
    let with = |permissions: &str| format!("{ALL}permissions: [{permissions}]");
    for (permissions, words) in [
        (
            "{object: /opt/web, mode: 1}, {object: /opt, mode: 2, type: [file]}",
            "(/opt/web/a.sh) is specified more than once",
        ),
        ("{object: /opt/web/a.sh, pattern: a}", "an object (/opt/web/a.sh) with an invalid pattern (a)"),
        ("{object: /opt/web/a.sh, except: [a]}", "section ([\"a\"]) for the object named /opt/web/a.sh"),
        ("{object: /opt/web/a.sh, acls: [\"d:u:web:rw\"]}", "supported for directories only"),
        ("{object: /opt/web, owner: 1000}", "an owner of permissions"),
        ("{object: /opt/web, pattern: [a]}", "a pattern of permissions"),
        ("{object: /opt/web, context: {type: t}}", "the context of permissions"),
    ] {
        check(&with(permissions), &TREE, &[], Err(words));
    }
}

#[test]
fn no_path_leads_out_of_the_instance() {
    for (path, inside) in [("/opt/web", "/r/opt/web"), ("../../etc/passwd", "/r/etc/passwd"), ("a/../b", "/r/b")] {
        assert_eq!(under(Path::new("/r"), path), Path::new(inside));
    }
}
