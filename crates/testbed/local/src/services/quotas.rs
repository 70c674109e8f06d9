//! Service Quotas: the one quota that the command asks for, with room for any fleet here.

use serde_json::{Value, json};
use tagship_cloud::service::{Answer, Service, ServiceError};

/// vCPUs that may run: more than any test launches.
const VCPUS: u32 = 100_000;

/// GetServiceQuota, of EC2's vCPUs alone.
#[derive(Debug)]
pub(crate) struct Quotas;

impl Service for Quotas {
    fn call<'a>(&'a self, _caller: &'a str, operation: &'a str, body: Value) -> Answer<'a> {
        Box::pin(async move {
            if operation != "GetServiceQuota" {
                return Err(ServiceError::unknown(operation));
            }
            if body["ServiceCode"] != "ec2" {
                return Err(ServiceError::client("NoSuchResourceException", "no quota of that service is known here"));
            }
            Ok(json!({"Quota": {"ServiceCode": "ec2", "QuotaCode": body["QuotaCode"], "Value": f64::from(VCPUS)}}))
        })
    }
}
