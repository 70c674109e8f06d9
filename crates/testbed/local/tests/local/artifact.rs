//! The demo's own archives, as people check theirs.

use tagship_local::artifact::{Variant, pack};

#[test]
fn the_demo_builds_sound_archives() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("release.zip");
    for variant in [Variant::Healthy, Variant::Unhealthy, Variant::HookFails] {
        std::fs::write(&path, pack("1.0.0", variant).unwrap()).unwrap();
        let report = tagship_appspec::check(&path).unwrap();
        assert_eq!(report.findings, [], "{variant:?}");
    }
}
