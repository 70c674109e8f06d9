//! The port over the AWS SDKs, and the Lambda handler.
