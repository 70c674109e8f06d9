//! Several releases at a time: of one service, and of two.

use tagship_local::Line;
use tagship_local::artifact::Variant;
use tagship_local::load::Load;
use tagship_tests::releases::{Releases, cloud};
use tagship_tests::stories;

fn line(pipeline: &str, role: &str, priority: u32, mode: &str) -> Line {
    let mut line = Line::quick(pipeline, role, &format!("{pipeline}.example.com"), priority);
    line.parameters.insert("ExecutionMode".to_owned(), mode.to_owned());
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_at_once_end_one_by_one_and_lose_no_request() {
    let lines = [line("web", "WEB_PRODUCT", 10, "QUEUED"), line("shop", "SHOP_PRODUCT", 20, "SUPERSEDED")];
    let local = cloud(lines.to_vec()).await;
    let [web, shop] = [0, 1].map(|n| Releases::of(&local, &lines[n]));
    stories!(queued(web), superseded(shop));
}

async fn queued(web: Releases<'_>) {
    let r1 = web.upload("r1", Variant::Healthy).await;
    web.asked(&r1, "QaApproval").await;
    let r2 = web.upload("r2", Variant::Healthy).await;
    web.succeeds(&r1).await;
    let load = web.load("web.example.com").await;
    web.succeeds(&r2).await;
    web.assert_alone(&r2).await;
    assert_served(load, ["r1", "r2"]).await;
}

async fn superseded(shop: Releases<'_>) {
    let r1 = shop.upload("r1", Variant::Healthy).await;
    shop.asked(&r1, "QaApproval").await;
    let r2 = shop.upload("r2", Variant::Healthy).await;
    let r3 = shop.upload("r3", Variant::Healthy).await;
    shop.ends(&r2, "Superseded", "discarded").await;
    shop.succeeds(&r1).await;
    let load = shop.load("shop.example.com").await;
    shop.succeeds(&r3).await;
    shop.assert_alone(&r3).await;
    assert_served(load, ["r1", "r3"]).await;
}

/// Every request, by these two.
async fn assert_served(load: Load, versions: [&str; 2]) {
    let tally = load.stop().await;
    assert_eq!(tally.failures, []);
    assert_eq!(tally.by_version.keys().collect::<Vec<_>>(), versions);
}
