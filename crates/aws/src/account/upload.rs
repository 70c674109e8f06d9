//! A build on its way to its pipeline's bucket.

use super::Account;
use crate::error::Called;
use aws_sdk_s3::primitives::ByteStream;
use std::path::Path;
use tagship::{Error, Kind};

/// An object as S3 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its version; none where the bucket keeps none.
    pub version: Option<String>,
}

impl Account {
    /// Uploads a file with its metadata.
    ///
    /// # Errors
    ///
    /// If the file can't be read, or S3 refuses.
    pub async fn upload(
        &self,
        (bucket, key): (&str, &str),
        file: &Path,
        metadata: &[(String, String)],
    ) -> Result<Uploaded, Error> {
        let unreadable =
            |error: &dyn std::fmt::Display| Error::configuration(format!("{} can't be read: {error}", file.display()));
        let body = ByteStream::from_path(file).await.map_err(|error| unreadable(&error))?;
        let metadata = metadata.iter().cloned().collect();
        let request = self.cloud.s3().put_object().bucket(bucket).key(key).set_metadata(Some(metadata)).body(body);
        let sent = request.send().await.called("s3:PutObject", format!("s3://{bucket}/{key}"))?;
        Ok(Uploaded { version: sent.version_id })
    }

    /// Whether a version of an object is still there.
    ///
    /// # Errors
    ///
    /// If S3 refuses.
    pub async fn kept(&self, bucket: &str, key: &str, version: &str) -> Result<bool, Error> {
        let request = self.cloud.s3().head_object().bucket(bucket).key(key).version_id(version);
        match request.send().await.called("s3:GetObjectVersion", format!("s3://{bucket}/{key} version {version}")) {
            Ok(_) => Ok(true),
            // HEAD has no body, so no code: not found is all that it says.
            Err(error) if error.kind == Kind::Conflict || error.code.as_deref() == Some("NotFound") => Ok(false),
            Err(error) => Err(error),
        }
    }
}
