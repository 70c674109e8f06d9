//! A pre-product, reached by name, before the product; emptied when the product's release is done. Of Amazon's own
//! newest image.

use super::Service;
use serde_json::json;
use std::net::Ipv4Addr;
use tagship_local::artifact::Variant;
use tagship_local::state::InstanceState;
use tagship_tests::releases::Releases;

const IMAGE: &str = "ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

pub(super) async fn before_the_product(service: Service<'_>, pre_service: Service<'_>) {
    let (product, pre) = (service.releases, pre_service.releases);
    service.set(&product.offered(json!({"COUNT": 1, "AMI": IMAGE})).to_string());
    pre_service
        .set(&pre.offered(json!({"COUNT": 1, "AMI": IMAGE, "TARGET_GROUP": "none", "PRE_PRODUCT": true})).to_string());
    parked_when_it_is_rejected(product, pre).await;
    parked_when_the_product_is_approved(product, pre).await;
}

/// Before the product has launched anything.
async fn parked_when_it_is_rejected(product: Releases<'_>, pre: Releases<'_>) {
    let rejected = product.upload("s1", Variant::Healthy).await;
    product.asked(&rejected, "PreApproval").await;
    assert_eq!(pre.named("live"), pre.ips(&rejected));
    assert_eq!(product.fleet(&rejected).len(), 0, "the product comes later");
    product.reject(&rejected, "PreApproval").await;
    pre.marked(&rejected, "parked").await;
    product.ends(&rejected, "Failed", "discarded").await;
    pre.reaches(&rejected, InstanceState::Terminated).await;
    assert_eq!(pre.named("live"), Vec::<Ipv4Addr>::new(), "nobody uses it any more");
}

async fn parked_when_the_product_is_approved(product: Releases<'_>, pre: Releases<'_>) {
    let release = product.upload("s2", Variant::Healthy).await;
    product.approve(&release, "PreApproval").await;
    product.succeeds(&release).await;
    pre.marked(&release, "parked").await;
    pre.reaches(&release, InstanceState::Terminated).await;
    assert_eq!((pre.named("live"), pre.named("candidate")), (vec![], vec![]));
    assert_eq!(product.named("live"), product.ips(&release));
}
